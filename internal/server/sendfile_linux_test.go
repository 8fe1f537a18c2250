package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	datafile "holdfast/internal/data/file"
	recordmem "holdfast/internal/record/mem"
)

// sent counts the bytes that connections were given as a file, which the kernel sends.
type sent struct {
	net.Listener
	bytes atomic.Int64
}

func (s *sent) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &sentConn{c.(*net.TCPConn), s}, nil
}

type sentConn struct {
	*net.TCPConn
	of *sent
}

// ReadFrom implements io.ReaderFrom, as net/http asks for it.
func (c *sentConn) ReadFrom(src io.Reader) (int64, error) {
	n, err := c.TCPConn.ReadFrom(src)
	if limited, ok := src.(*io.LimitedReader); ok {
		if _, ok := limited.R.(*os.File); ok {
			c.of.bytes.Add(n)
		}
	}
	return n, err
}

// TestSendfile: a blob in a directory leaves as a file through all that stands between, once it was hashed; what net/http puts before the file (its
// first 512 bytes, with the header) is read.
func TestSendfile(t *testing.T) {
	segments, err := datafile.Open(t.Context(), datafile.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = segments.Close() })
	h := newHouse(t, recordmem.New(recordmem.Config{}), segments, Storage{})
	content := strings.Repeat("0123456789abcdef", 10<<20/16)
	d := h.blob("a", content)

	var listen net.ListenConfig
	tcp, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := &sent{Listener: tcp}
	answered := make(chan struct{}, 1) // the count is added to after the client has the bytes, and before the connection is idle
	srv := &http.Server{Handler: h.s.handler(nil), ConnState: func(_ net.Conn, now http.ConnState) {
		if now == http.StateIdle {
			answered <- struct{}{}
		}
	}}
	go func() { _ = srv.Serve(listener) }()
	t.Cleanup(func() { _ = srv.Close() })
	get := func(asked string, from, to int) (asFile int64) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s/v2/a/blobs/%s", tcp.Addr(), d), nil)
		if err != nil {
			t.Fatal(err)
		}
		if asked != "" {
			req.Header.Set("Range", asked)
		}
		before := listener.bytes.Load()
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil || string(got) != content[from:to] {
			t.Fatalf("%q: %s, %d bytes, %v; want %d to %d", asked, resp.Status, len(got), err, from, to)
		}
		<-answered
		return listener.bytes.Load() - before
	}
	if n := get("", 0, len(content)); n != 0 {
		t.Errorf("%d bytes left unread at the first time", n)
	}
	const sniffed = 512
	whole := int64(0)
	for tries := 0; whole == 0 && tries < 1000; tries++ { // until the file is as old as the kernel's times can tell
		whole = get("", 0, len(content))
	}
	if want := int64(len(content) - sniffed); whole != want {
		t.Errorf("%d bytes left as a file, want %d", whole, want)
	}
	if n := get("bytes=1000000-3999999", 1_000_000, 4_000_000); n != 3_000_000-sniffed {
		t.Errorf("%d bytes of a range left as a file, want all", n)
	}
}
