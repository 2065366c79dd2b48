// Command echo answers every datagram with itself, marked as a response: the floor under the figures of package bench.
// What it costs is what the system and package net take for a query and a reply, whatever a server does between them.
package main

import (
	"fmt"
	"net"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: echo HOST:PORT")
		os.Exit(2)
	}
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(address string) error {
	packet, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	conn := packet.(*net.UDPConn)
	if err := conn.SetReadBuffer(4 << 20); err != nil {
		return err
	}
	var buf [4096]byte
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			return err
		}
		if n > 2 {
			buf[2] |= 0x80 // QR
		}
		if _, err := conn.WriteToUDPAddrPort(buf[:n], from); err != nil {
			return err
		}
	}
}
