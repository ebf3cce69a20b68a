// A chat server in the design of gopl.io/ch8/chat: the broadcaster alone owns the
// set of clients, the channels are unbuffered, each client has a goroutine that
// reads and one that writes, and each line is one write for each client.
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

	name := conn.RemoteAddr().String()
	client <- "Welcome " + name
	lines <- name + " is online"
	arrivals <- client

	for input := bufio.NewScanner(conn); input.Scan(); {
		lines <- name + ": " + input.Text()
	}

	departures <- client
	lines <- name + " is offline"
	conn.Close()
}

// clientWriter receives lines until the channel is closed, even after a write has
// failed: the broadcaster would block otherwise.
func clientWriter(conn net.Conn, client <-chan string) {
	for line := range client {
		fmt.Fprintln(conn, line)
	}
}
