package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"holdfast/bench/proxy"
)

// start starts a proxy before a server, and clients of it.
func start(t *testing.T, handler http.HandlerFunc) (*proxy.Proxy, *http.Client) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	p, err := proxy.Start(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	return p, client
}

func do(t *testing.T, client *http.Client, method, url string, body io.Reader, header ...string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPasses: bodies of every framing and size arrive as they were sent, both ways, on the same connections; their bytes are counted.
func TestPasses(t *testing.T) {
	p, client := start(t, func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.URL.Query().Has("stream") {
			for part := range slices.Chunk(text, 30_000) {
				_, _ = w.Write(part)
				w.(http.Flusher).Flush()
			}
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		_, _ = w.Write(text)
	})
	var sent int64
	for _, size := range []int{0, 1, 100, 16 << 10, 100 << 10, 5 << 20} {
		text := strings.Repeat("0123456\n", size/8+1)[:size]
		for _, query := range []string{"", "?stream"} {
			if got := do(t, client, http.MethodPut, p.URL+"/b/k"+query, strings.NewReader(text)); got != text {
				t.Errorf("%d bytes%s: %d came back", size, query, len(got))
			}
			if size > 0 {
				hidden := struct{ io.Reader }{strings.NewReader(text)} // is sent in chunks
				if got := do(t, client, http.MethodPut, p.URL+"/b/k"+query, hidden); got != text {
					t.Errorf("%d bytes in chunks%s: %d came back", size, query, len(got))
				}
			}
			if got := do(t, client, http.MethodPut, p.URL+"/b/k"+query, strings.NewReader(text), "Expect", "100-continue"); got != text {
				t.Errorf("%d bytes after a 100%s: %d came back", size, query, len(got))
			}
			sent += int64(size)
		}
		if got := do(t, client, http.MethodHead, p.URL+"/b/k", nil); got != "" {
			t.Errorf("HEAD: %q", got)
		}
	}
	// Chunks count with their line ends, so at least.
	if got := p.Counts(); got.Up < 3*sent || got.Up > 3*sent+8<<10 || got.Down < 3*sent {
		t.Errorf("up %d, down %d, want %d and a little", got.Up, got.Down, 3*sent)
	}
}

// TestKinds: each request is counted once, as what it is.
func TestKinds(t *testing.T) {
	p, client := start(t, func(http.ResponseWriter, *http.Request) {})
	for _, one := range []struct {
		method, at string
		kind       proxy.Kind
		header     []string
	}{
		{"GET", "/b/a/key", proxy.Get, nil},
		{"GET", "/b/key?x-id=GetObject", proxy.Get, nil},
		{"HEAD", "/b/key", proxy.Head, nil},
		{"PUT", "/b/key", proxy.Put, nil},
		{"PUT", "/b/key?partNumber=1&uploadId=u", proxy.Part, nil},
		{"PUT", "/b/key?partNumber=1&uploadId=u", proxy.Copy, []string{"x-amz-copy-source", "/b/other"}},
		{"POST", "/b/key?uploads", proxy.Create, nil},
		{"POST", "/b/key?uploadId=u", proxy.Complete, nil},
		{"POST", "/b?delete", proxy.Delete, nil},
		{"DELETE", "/b/key?uploadId=u", proxy.Abort, nil},
		{"DELETE", "/b/key", proxy.Delete, nil},
		{"GET", "/b?list-type=2&prefix=uploads", proxy.List, nil},
		{"GET", "/b/?uploads", proxy.ListUploads, nil},
		{"GET", "/b/key?uploadId=u", proxy.ListParts, nil},
		{"OPTIONS", "/b/key", proxy.Other, nil},
	} {
		before := p.Counts()
		do(t, client, one.method, p.URL+one.at, nil, one.header...)
		if got := p.Counts().Since(before); got.Total() != 1 || got.Requests[one.kind] != 1 {
			t.Errorf("%s %s: counted as %v", one.method, one.at, got.ByName())
		}
	}
}

// TestEnds: a server that hangs up is seen by the client, and nothing is left over after Close.
func TestEnds(t *testing.T) {
	p, _ := start(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // read to its end
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
		t.Errorf("an answer: %q", line)
	}
	p.Close()
	p.Close()
}
