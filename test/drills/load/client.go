package load

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// deadline is how long a client waits for one request as a whole; what takes as long is a finding.
const deadline = 3 * time.Minute

// newHTTP returns a client that follows nothing and has connections of its own.
func newHTTP() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 4, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

var errReplay = errors.New("load: the connection broke under a request; the transport would have sent it again")

// request is what to send.
type request struct {
	method, url string
	header      map[string]string
	body        io.Reader // nil: none
	size        int64
	limit       time.Duration // 0: deadline
	keep        bool          // return the body
}

// answer is what came, beside what the Call says.
type answer struct {
	header http.Header
	body   []byte
}

// send sends one request, at most once, and fills in what came of it. It records nothing.
func (w *worker) send(ctx context.Context, c *Call, r request) (a answer) {
	w.n++
	c.Client, c.N = w.id, w.n
	limit := r.limit
	if limit == 0 {
		limit = deadline
	}
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx = httptrace.WithClientTrace(ctx, onlyOnce(cancel))

	c.Status, c.Cut, c.Corrupt, c.Err = 0, false, false, "" // of an earlier page, or try
	w.history.begin(c)
	defer func() { c.Ret = w.history.Now() }()
	moved := &progress{last: time.Now()}
	body := io.Reader(http.NoBody)
	if r.body != nil {
		body = &tracked{io.NopCloser(r.body), moved} // hides the type: no GetBody
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
	if err != nil {
		c.Err = err.Error()
		return a
	}
	req.ContentLength = r.size
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	resp, err := w.http.Do(req)
	c.Wait = moved.longest()
	if err != nil {
		c.Err = errors.Join(err, context.Cause(ctx)).Error()
		return a
	}
	c.Status, a.header = resp.StatusCode, resp.Header
	a.body, err = w.receive(c, r, resp, moved)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		c.Cut, c.Err = true, err.Error()
	}
	c.Wait = moved.longest()
	hint := resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests
	c.NoHint = hint && resp.Header.Get("Retry-After") == ""
	if resp.StatusCode >= 400 {
		c.Code = errorCode(a.body)
	}
	return a
}

// receive reads the answer's body: kept where it is wanted or an error, hashed in any case.
func (w *worker) receive(c *Call, r request, resp *http.Response, moved *progress) ([]byte, error) {
	var kept bytes.Buffer
	sum := sha256.New()
	into := []io.Writer{sum}
	if r.keep || resp.StatusCode >= 400 {
		into = append(into, &kept)
	}
	n, err := io.Copy(io.MultiWriter(into...), &tracked{resp.Body, moved})
	if r.method == http.MethodGet {
		c.Len = n
	}
	if r.method == http.MethodGet && resp.StatusCode < 300 && err == nil {
		c.Digest = string(sumOf(sum))
	}
	return kept.Bytes(), err
}

func sumOf(h hash.Hash) digest.Digest { return digest.NewDigest(digest.SHA256, h) }

// onlyOnce ends a request for which the transport takes a second connection: it does so without asking
// when the first one breaks. A connection that turns out to be closed before anything was written to it
// is no attempt.
func onlyOnce(cancel context.CancelCauseFunc) *httptrace.ClientTrace {
	var (
		mu    sync.Mutex
		wrote bool
	)
	return &httptrace.ClientTrace{
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			mu.Lock()
			defer mu.Unlock()
			wrote = wrote || info.Err == nil
		},
		GotConn: func(httptrace.GotConnInfo) {
			mu.Lock()
			defer mu.Unlock()
			if wrote {
				cancel(errReplay)
			}
		},
	}
}

func errorCode(body []byte) string {
	var e struct{ Errors []struct{ Code string } }
	if json.Unmarshal(body, &e) != nil || len(e.Errors) == 0 {
		return ""
	}
	return e.Errors[0].Code
}

// progress measures the longest time in which no byte went either way.
type progress struct {
	mu   sync.Mutex
	last time.Time
	most time.Duration
}

func (p *progress) move() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.most, p.last = max(p.most, now.Sub(p.last)), now
}

// longest counts the time since the last byte in.
func (p *progress) longest() int64 {
	p.move()
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.most)
}

type tracked struct {
	io.ReadCloser
	moved *progress
}

func (t *tracked) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	t.moved.move()
	return n, err
}
