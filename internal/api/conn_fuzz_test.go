package api_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/api"
	datamem "holdfast/internal/data/mem"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

// said is what a server logs.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// FuzzRawConn: whatever bytes come on a connection, what goes back is answers of HTTP, none of them a fault of ours, and the server goes on.
func FuzzRawConn(f *testing.F) {
	const host = "\r\nHost: r\r\n"
	for _, text := range []string{
		"", "GET /v2/ HTTP/1.1" + host + "\r\n", "GET /v2/ HTTP/1.0\r\n\r\n", "GET /v2/ HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"POST /v2/a/blobs/uploads/ HTTP/1.1" + host + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1" + host + "\r\n",
		"PUT /v2/acme/app/manifests/v9 HTTP/1.1" + host + "Content-Length: +5\r\n\r\n12345", "PUT /v2/acme/app/manifests/v9 HTTP/1.1" + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n123456",
		"PATCH /v2/a/blobs/uploads/x HTTP/1.1" + host + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", "GET /v2/\x00 HTTP/1.1" + host + "\r\n", "GET http://evil/v2/ HTTP/1.1" + host + "\r\n",
		"GET /v2/acme/app/tags/list HTTP/1.1" + host + "\r\nGET /v2/acme/app/manifests/v1 HTTP/1.1" + host + "\r\n", "OPTIONS * HTTP/1.1" + host + "\r\n", "CONNECT evil:80 HTTP/1.1" + host + "\r\n",
		"POST /v2/a/blobs/uploads/ HTTP/1.1" + host + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "GET /v2/ HTTP/1.1" + host + "A : b\r\n\r\n", "GET /v2/ HTTP/1.1" + host + strings.Repeat("A: b\r\n", 2000) + "\r\n",
	} {
		f.Add([]byte(text))
	}
	var errors said
	local, err := registry.New(context.Background(), recordmem.New(recordmem.Config{}), datamem.New(datamem.Config{}), registry.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	srv := &http.Server{
		Handler: api.New(local, api.Config{}), ReadHeaderTimeout: time.Second, MaxHeaderBytes: 32 << 10, DisableGeneralOptionsHandler: true, ErrorLog: log.New(&errors, "", 0),
	}
	go func() { _ = srv.Serve(listener) }()
	f.Cleanup(func() { _ = srv.Close() })
	f.Fuzz(func(t *testing.T, text []byte) {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatalf("the server takes no connections: %v", err)
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		go func() { // the server may answer, and close, before it has read all
			_, _ = conn.Write(text)
			_ = conn.(*net.TCPConn).CloseWrite()
		}()
		for answers := bufio.NewReader(conn); ; {
			if _, err := answers.Peek(1); err != nil {
				break
			}
			// Whether an answer has a body the request says: one to HEAD is taken for the last.
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				if bytes.Contains(text, []byte("HEAD ")) {
					break
				}
				t.Fatalf("%q: no answer of HTTP: %v", text, err)
			}
			if resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented && resp.StatusCode != http.StatusHTTPVersionNotSupported {
				t.Errorf("%q: %d", text, resp.StatusCode)
			}
			if resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified {
				t.Errorf("%q: sent elsewhere: %s", text, resp.Header.Get("Location"))
			}
			if strings.Contains(resp.Header.Get("Location"), "//") {
				t.Errorf("%q: a location with a host: %s", text, resp.Header.Get("Location"))
			}
			if resp.StatusCode < 200 {
				continue
			}
			_, err = io.Copy(io.Discard, resp.Body)
			if closeErr := resp.Body.Close(); err != nil || closeErr != nil {
				break
			}
		}
		if logged := errors.String(); strings.Contains(logged, "panic serving") {
			t.Fatalf("%q: %s", text, logged)
		}
	})
}

// FuzzLinkCursor: who follows the links of a list sees every tag once and in order, whatever the pages' size.
func FuzzLinkCursor(f *testing.F) {
	f.Add("a b c", 1)
	f.Add("v1 v10 v2 _x A z.9-", 2)
	f.Add("a", 100)
	f.Fuzz(func(t *testing.T, names string, n int) {
		if n < 1 || n > 1000 {
			return
		}
		ctx := context.Background()
		local, err := registry.New(ctx, recordmem.New(recordmem.Config{}), datamem.New(datamem.Config{}), registry.Config{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer local.Close()
		walk(t, local, strings.Fields(names), n)
	})
}
