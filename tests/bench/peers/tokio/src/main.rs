//! A chat server of the usual tokio kind: a broadcaster task owns the clients, each
//! client has a reading task, a writing task and a queue without a bound, and each
//! line is one write for each client.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{tcp::OwnedWriteHalf, TcpListener, TcpStream};
use tokio::sync::mpsc::{channel, unbounded_channel};
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, UnboundedSender};

type Line = Arc<str>;

enum Event {
    Joined(SocketAddr, UnboundedSender<Line>),
    Left(SocketAddr),
    Said(SocketAddr, String),
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("Listening on {}", listener.local_addr()?);
    let (events, received) = channel(1024);
    tokio::spawn(broadcaster(received));
    loop {
        match listener.accept().await {
            Ok((stream, name)) => drop(tokio::spawn(handle(stream, name, events.clone()))),
            Err(error) => eprintln!("{error}"),
        }
    }
}

async fn broadcaster(mut events: Receiver<Event>) {
    let mut clients: HashMap<SocketAddr, UnboundedSender<Line>> = HashMap::new();
    while let Some(event) = events.recv().await {
        let mut joined = None;
        let line = match event {
            Event::Joined(name, queue) => {
                joined = Some((name, queue));
                format!("{name} is online\n")
            }
            Event::Left(name) => {
                clients.remove(&name);
                format!("{name} is offline\n")
            }
            Event::Said(name, text) => format!("{name}: {text}\n"),
        };
        let line: Line = line.into();
        for queue in clients.values() {
            // A writer that has failed takes nothing. Its reader ends, too.
            let _ = queue.send(line.clone());
        }
        clients.extend(joined);
    }
}

async fn handle(stream: TcpStream, name: SocketAddr, events: Sender<Event>) {
    let _ = stream.set_nodelay(true);
    let (input, output) = stream.into_split();
    let (queue, lines) = unbounded_channel();
    let _ = queue.send(format!("Welcome {name}\n").into());
    tokio::spawn(client_writer(output, lines));
    let _ = events.send(Event::Joined(name, queue)).await;
    let mut input = BufReader::new(input).lines();
    while let Ok(Some(text)) = input.next_line().await {
        let _ = events.send(Event::Said(name, text)).await;
    }
    let _ = events.send(Event::Left(name)).await;
}

async fn client_writer(mut output: OwnedWriteHalf, mut lines: UnboundedReceiver<Line>) {
    while let Some(line) = lines.recv().await {
        if output.write_all(line.as_bytes()).await.is_err() {
            break;
        }
    }
}
