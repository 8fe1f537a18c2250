package redis

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

// liar is a server that answers each command by its first word, and +OK to others.
func liar(t *testing.T, answers map[string]string) (address string, asked chan string) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	asked = make(chan string, 1000)
	serve := func(conn net.Conn) {
		defer func() { _ = conn.Close() }()
		var out strings.Builder
		in := scanner{}
		in.whole = func(_ byte, first []byte) error {
			answer, found := answers[string(first)]
			if !found {
				answer = "+OK\r\n"
			}
			out.WriteString(answer)
			select {
			case asked <- string(first):
			default:
			}
			return nil
		}
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil || in.scan(buf[:n]) != nil {
				return
			}
			if _, err := conn.Write([]byte(out.String())); err != nil {
				return
			}
			out.Reset()
		}
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return l.Addr().String(), asked
}

const hello = "%2\r\n+version\r\n+7.0.0\r\n+proto\r\n:3\r\n"

// A sentinel that answers what none does, a server that says that it is nothing, and messages without what they are about: none of them ends the process.
func TestLyingSentinel(t *testing.T) {
	server, _ := liar(t, map[string]string{"HELLO": hello, "ROLE": "*0\r\n"})
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		t.Fatal(err)
	}
	named := "*2\r\n$9\r\n" + host + "\r\n$5\r\n" + port + "\r\n"
	if len(port) != 5 {
		named = strings.Replace(named, "$5", "$4", 1)
	}
	const subscribed = ">3\r\n$9\r\nsubscribe\r\n$9\r\n+sentinel\r\n:1\r\n"
	for name, answers := range map[string]map[string]string{
		"one text":       {"HELLO": hello, "SENTINEL": "*1\r\n$1\r\na\r\n"},
		"no text":        {"HELLO": hello, "SENTINEL": "*0\r\n"},
		"no list":        {"HELLO": hello, "SENTINEL": "+OK\r\n"},
		"numbers":        {"HELLO": hello, "SENTINEL": "*2\r\n:1\r\n:2\r\n"},
		"a long name":    {"HELLO": hello, "SENTINEL": "*2\r\n$9999999\r\n"},
		"a long list":    {"HELLO": hello, "SENTINEL": "*9999999\r\n"},
		"no such master": {"HELLO": hello, "SENTINEL": "*-1\r\n"},
		"no role":        {"HELLO": hello, "SENTINEL": named},
		"short message":  {"HELLO": hello, "SENTINEL": named, "SUBSCRIBE": subscribed + ">3\r\n$7\r\nmessage\r\n$9\r\n+sentinel\r\n$1\r\na\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			address, asked := liar(t, answers)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			c, err := Open(ctx, Config{Addresses: []string{address}, Master: "m"}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			for first := ""; first != "SENTINEL"; {
				select {
				case first = <-asked:
				case <-ctx.Done():
					t.Fatal("the sentinel is not asked")
				}
			}
			time.Sleep(100 * time.Millisecond) // what is wrong with the answer may end the process a moment later
			if err := c.Set(t.Context(), "k", []byte("v"), time.Minute); err == nil {
				t.Error("it takes values")
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
