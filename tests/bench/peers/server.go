// The chat server of the Go tutorial, in its design: the broadcaster alone owns
// the set of clients, the channels are unbuffered, a client has a goroutine that
// reads and one that writes, and each line is a write to each client.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
)

var (
	arrivals   = make(chan chan string)
	departures = make(chan chan string)
	lines      = make(chan string)
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Listening on", listener.Addr())
	go broadcaster()
	for {
		if conn, err := listener.Accept(); err == nil {
			go handleConn(conn)
		} else {
			log.Print(err)
		}
	}
}

func broadcaster() {
	clients := make(map[chan string]struct{})
	for {
		select {
		case line := <-lines:
			for client := range clients {
				client <- line
			}
		case client := <-arrivals:
			clients[client] = struct{}{}
		case client := <-departures:
			delete(clients, client)
			close(client)
		}
	}
}

func handleConn(conn net.Conn) {
	client := make(chan string)
	go clientWriter(conn, client)

	who := conn.RemoteAddr().String()
	client <- "Welcome " + who
	lines <- who + " is online"
	arrivals <- client

	for input := bufio.NewScanner(conn); input.Scan(); {
		lines <- who + ": " + input.Text()
	}

	departures <- client
	lines <- who + " is offline"
	conn.Close()
}

// Goes on taking lines when the client has hung up, or the broadcaster would wait.
func clientWriter(conn net.Conn, client <-chan string) {
	for line := range client {
		fmt.Fprintln(conn, line)
	}
}
