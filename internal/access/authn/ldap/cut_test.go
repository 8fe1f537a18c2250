package ldap_test

import (
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"holdfast/internal/access/authn/ldap"
	"holdfast/test/slapd"
)

// wire is between a client and a directory, and cuts their connection when the client has sent so many messages, and the last of them was not passed on.
type wire struct {
	net.Listener
	mu     sync.Mutex
	sent   int
	cutAt  int
	refuse bool // nobody is let in after that
}

func newWire(t *testing.T, s *slapd.Server, cutAt int, refuse bool) *wire {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l, cutAt: cutAt, refuse: refuse}
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	t.Cleanup(func() { _ = l.Close() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { w.pass(c, "127.0.0.1:"+strconv.Itoa(s.Port)) })
		}
	})
	return w
}

func (w *wire) pass(client net.Conn, to string) {
	defer client.Close() //nolint:errcheck // of a test
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // of a test
	go func() { _, _ = io.Copy(client, server) }()
	message := make([]byte, 64<<10)
	for {
		n, err := client.Read(message) // the library writes each message at once, and waits for its answer
		if err != nil {
			return
		}
		w.mu.Lock()
		w.sent++
		cut := w.sent == w.cutAt
		w.mu.Unlock()
		if cut {
			if w.refuse {
				_ = w.Close()
			}
			return
		}
		if _, err := server.Write(message[:n]); err != nil {
			return
		}
	}
}

// TestCut: a connection that breaks at any message is made anew where it served before; where it cannot be, that is neither yes nor no.
func TestCut(t *testing.T) {
	s := start(t)
	open := func(w *wire) *ldap.Directory {
		cfg := config(s)
		cfg.Security, cfg.Port = ldap.Plain, w.Addr().(*net.TCPAddr).Port
		return open(t, cfg)
	}
	const messages = 3 // of a check: bind, search, bind
	for cut := range messages {
		d := open(newWire(t, s, messages+cut+1, false))
		for i := range 3 { // the second is cut
			if _, err := d.Check(t.Context(), "alice", "alice-password"); err != nil {
				t.Errorf("cut at message %d: check %d: %v", cut+1, i+1, err)
			}
		}
		for _, name := range []string{"alice", "carol"} {
			d := open(newWire(t, s, cut+1, true))
			if _, err := d.Check(t.Context(), name, "wrong-password"); !unasked(err) {
				t.Errorf("%s: cut off at message %d: %v", name, cut+1, err)
			}
		}
	}
}
