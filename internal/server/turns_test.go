package server

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// trickle is an upload of which one byte has come, of a client that says where it is.
func trickle(t *testing.T, address, client string) *bufio.Reader {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST /v2/slow/blobs/uploads/?digest=%s HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: %s\r\nContent-Length: 1000000\r\nContent-Type: application/octet-stream\r\n\r\nx",
		digest.FromString(client), address, client)
	if err != nil {
		t.Fatal(err)
	}
	return bufio.NewReaderSize(conn, 16)
}

// untilMetric asks for the metrics until they have a line.
func untilMetric(t *testing.T, url, line string) {
	t.Helper()
	for t.Context().Err() == nil {
		if _, body, _ := fetch(t, "GET", url+"/metrics", nil); strings.Contains(body, line+"\n") {
			return
		}
	}
}

// A client with more slow uploads than there are places does not shut out another, nor pulls, nor who watches.
func TestUploadsTakeTurns(t *testing.T) {
	r := runServer(t, func(cfg *Config) {
		cfg.Edge.MaxUploads, cfg.MetricsPath, cfg.Edge.Trusted = 4, "/metrics", []string{"127.0.0.1"}
	})
	address := strings.TrimPrefix(r.url, "http://")
	for range 3 { // its share
		trickle(t, address, "192.0.2.1")
	}
	untilMetric(t, r.url, `holdfast_http_turns{kind="uploads",state="served"} 3`)
	for range 4 {
		trickle(t, address, "192.0.2.1")
	}
	untilMetric(t, r.url, `holdfast_http_turns{kind="uploads",state="waiting"} 4`)
	res, err := http.ReadResponse(trickle(t, address, "192.0.2.1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" || !strings.Contains(string(body), `"TOOMANYREQUESTS"`) {
		t.Errorf("one too many: %d %s, Retry-After %q", res.StatusCode, body, res.Header.Get("Retry-After"))
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v2/other/blobs/uploads/?digest="+string(digest.FromString("blob")), strings.NewReader("blob"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "192.0.2.2")
	if res, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Errorf("another client's upload: %d", res.StatusCode)
	}
	for _, path := range []string{"/livez", "/readyz", "/v2/"} {
		if status, _, _ := fetch(t, "GET", r.url+path, http.Header{"X-Forwarded-For": {"192.0.2.1"}}); status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
	}
	untilMetric(t, r.url, `holdfast_http_limited_total{limit="share"} 1`)
}

// A slow upload costs some 64 KiB, of a directory, not a buffer for a fast one.
func TestSlowUploadsCostLittle(t *testing.T) {
	const uploads, most = 200, 96 << 10
	r := runServer(t, func(cfg *Config) { cfg.Edge.MaxUploads, cfg.MetricsPath = 2*uploads, "/metrics" })
	address := strings.TrimPrefix(r.url, "http://")
	untilMetric(t, r.url, `holdfast_http_turns{kind="uploads",state="served"} 0`)
	before := memoryInUse()
	for range uploads {
		trickle(t, address, "192.0.2.1")
	}
	untilMetric(t, r.url, fmt.Sprintf(`holdfast_http_turns{kind="uploads",state="served"} %d`, uploads))
	each := (memoryInUse() - before) / uploads
	t.Logf("%d bytes for each slow upload", each)
	if each > most {
		t.Errorf("%d bytes for each slow upload, want %d at most", each, most)
	}
}

// memoryInUse is Go's heap and stacks after a collection.
func memoryInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

func TestPlaces(t *testing.T) {
	const mib = 1 << 20
	for name, test := range map[string]struct {
		rules             edgeRules
		budget, heap      int64
		uploads, requests int
	}{
		"no limit of memory": {edgeRules{}, 128 * mib, math.MaxInt64, 256, 8192},
		"a GiB":              {edgeRules{}, 128 * mib, 793 * mib, 256, 6344},
		"very little":        {edgeRules{}, 8 * mib, 20 * mib, 32, 256},
		"configured":         {edgeRules{uploads: 7, requests: 8}, 256 * mib, math.MaxInt64, 7, 8},
	} {
		if uploads, requests := test.rules.places(test.budget, test.heap); uploads != test.uploads || requests != test.requests {
			t.Errorf("%s: %d uploads, %d requests; want %d, %d", name, uploads, requests, test.uploads, test.requests)
		}
	}
}
