package redis

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// liar is a server that answers each command by its first word, and +OK to others. PORT in an answer is its own port.
func liar(t *testing.T, answers map[string]string) (address string, asked chan string) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	address = l.Addr().String()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
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
			out.WriteString(strings.ReplaceAll(answer, "PORT", port))
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
	return address, asked
}

const hello = "%2\r\n+version\r\n+7.0.0\r\n+proto\r\n:3\r\n"

const master = "*1\r\n$6\r\nmaster\r\n"

// naming is a sentinel's answer that names an address.
func naming(t *testing.T, address string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(host), host, len(port), port)
}

// A sentinel that hangs as long as a call may take, or that knows nothing of the primary that there is now, keeps nobody from the others.
func TestOtherSentinels(t *testing.T) {
	var lc net.ListenConfig
	silent, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	gone, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	server, _ := liar(t, map[string]string{"ROLE": master})
	knows, _ := liar(t, map[string]string{"SENTINEL": naming(t, server)})
	old, _ := liar(t, map[string]string{"SENTINEL": naming(t, gone.Addr().String())})
	itself, _ := liar(t, map[string]string{"SENTINEL": naming(t, silent.Addr().String())})
	for name, first := range map[string]string{"hangs": silent.Addr().String(), "names who is gone": old, "names who hangs": itself} {
		t.Run(name, func(t *testing.T) {
			d := &dialer{cfg: Config{Addresses: []string{first, knows}, Master: "m"}, ctx: t.Context(), not: map[string]time.Time{}}
			for range 5 {
				ctx, cancel := context.WithTimeout(t.Context(), callLimit*9/10) // one that hangs takes it all
				var conn net.Conn
				conn, err = d.dial(ctx, first, nil, nil)
				if cancel(); err == nil {
					_ = conn.Close()
					return
				}
			}
			t.Error("the other is not asked:", err)
		})
	}
}

// Sentinels and servers that want no password are used by who has one, as without sentinels.
func TestPasswordThatNobodyWants(t *testing.T) {
	const unwanted = "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n"
	server, _ := liar(t, map[string]string{"HELLO": hello, "AUTH": unwanted, "ROLE": master, "GET": "$1\r\nv\r\n"})
	sentinel, _ := liar(t, map[string]string{"AUTH": unwanted, "SENTINEL": naming(t, server)})
	works(t, open(t, Config{Addresses: []string{sentinel}, Master: "m", Password: "canary", SentinelPassword: "canary"}))
}

// A server that says again what it was told does not bring a password into the log.
func TestPasswordThatIsSaidAgain(t *testing.T) {
	for _, answer := range []string{
		"-ERR unknown command `AUTH`, with args beginning with: `someone`, `canary`, \r\n",
		"-ERR no canary here\r\n",
	} {
		sentinel, _ := liar(t, map[string]string{"AUTH": answer})
		d := &dialer{cfg: Config{Addresses: []string{sentinel}, Master: "m", SentinelUsername: "someone", SentinelPassword: "canary"}, ctx: t.Context(), not: map[string]time.Time{}}
		if _, err := d.dial(t.Context(), sentinel, nil, nil); err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "log in: \"-ERR") {
			t.Errorf("%v", err)
		}
	}
}

// A name that needs no password is told.
func TestNameWithoutPassword(t *testing.T) {
	server, asked := liar(t, map[string]string{"ROLE": master})
	sentinel, asked2 := liar(t, map[string]string{"SENTINEL": naming(t, server)})
	d := &dialer{cfg: Config{Addresses: []string{sentinel}, Master: "m", Username: "someone", SentinelUsername: "someone"}, ctx: t.Context(), not: map[string]time.Time{}}
	conn, err := d.dial(t.Context(), sentinel, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if first, second := <-asked2, <-asked; first != "AUTH" || second != "AUTH" {
		t.Errorf("first came %s and %s, want AUTH", first, second)
	}
}

// A sentinel that names ever other addresses takes no memory.
func TestEverOtherAddresses(t *testing.T) {
	d := &dialer{ctx: t.Context(), not: map[string]time.Time{}}
	fails := func(context.Context) (net.Conn, error) { return nil, errNonsense }
	synctest.Test(t, func(t *testing.T) {
		for i := range 1000 {
			if _, err := d.paused(t.Context(), strconv.Itoa(i), fails); err == nil {
				t.Fatal("no error")
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	if n := len(d.not); n > 10 {
		t.Errorf("%d addresses are remembered", n)
	}
}

// A sentinel that answers what none does, a server that says that it is nothing, and messages without what they are about: none of them ends the process.
func TestLyingSentinel(t *testing.T) {
	server, _ := liar(t, map[string]string{"HELLO": hello, "ROLE": "*0\r\n"})
	named := naming(t, server)
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
