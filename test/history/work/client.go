package work

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"holdfast/test/history/call"
)

// Target is where requests can be sent.
type Target struct {
	Name string
	URL  string // base, without a slash at its end
}

// deadline is how long a client waits for one answer as a whole.
const deadline = 20 * time.Second

// client sends requests, one at a time, and records them.
type client struct {
	id     int
	n      int
	log    *call.Log
	http   *http.Client
	random *rand.Rand
	final  bool // reads back, when the clients have ended
	failed bool // the last call did
}

func newClient(log *call.Log, id int, seed uint64) *client {
	return &client{
		id: id, log: log,
		http: &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 2, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		random: rand.New(rand.NewPCG(seed, uint64(id))),
	}
}

// chance is true in so many of a hundred cases.
func (cl *client) chance(percent int) bool { return cl.random.IntN(100) < percent }

func pick[T any](cl *client, from []T) T { return from[cl.random.IntN(len(from))] }

// request is what to send: path begins with "/" and may have a query.
type request struct {
	method, path string
	header       map[string]string
	body         []byte // nil: none
}

// answer is what came, beside what the call says.
type answer struct {
	header http.Header
	body   []byte
}

// send sends one request to a target and fills in what came of it; the caller completes the call and records it.
//
// The transport sends a request again when a connection that it had kept breaks, but never one that writes, once
// any of it has left: those have a method that is not idempotent, or a body that cannot be read twice. A read
// that was sent twice is one read, which took longer.
func (cl *client) send(ctx context.Context, c *call.Call, at Target, r request) (a answer) {
	cl.n++
	c.Client, c.N, c.Target, c.Final = cl.id, cl.n, at.Name, cl.final
	ctx, stop := context.WithTimeout(ctx, deadline)
	defer stop()
	var attempts atomic.Int32
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { attempts.Add(1) }})
	body := io.Reader(http.NoBody)
	if len(r.body) > 0 {
		body = struct{ io.Reader }{bytes.NewReader(r.body)} // hides the type, and with it the way to read it again
		sum := sha256.Sum256(r.body)
		c.Sum = hex.EncodeToString(sum[:])
	}
	req, err := http.NewRequestWithContext(ctx, r.method, at.URL+r.path, body)
	if err != nil {
		c.Err = err.Error()
		return a
	}
	req.ContentLength = int64(len(r.body))
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	c.Call = cl.log.Now()
	defer func() { c.Ret, c.Attempts = cl.log.Now(), int(attempts.Load()) }()
	resp, err := cl.http.Do(req)
	if err != nil {
		c.Err = err.Error()
		return a
	}
	c.Status, c.ID, a.header = resp.StatusCode, resp.Header.Get("X-Request-Id"), resp.Header
	a.body, err = io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		c.Cut, c.Err = true, err.Error()
	}
	if resp.StatusCode >= 400 {
		readErrors(c, a.body)
	}
	return a
}

// record ends a call.
func (cl *client) record(c *call.Call) {
	cl.failed = c.Failed()
	cl.log.Add(*c)
}

// readErrors notes the code of an error, and which digests a manifest's refusal names.
func readErrors(c *call.Call, body []byte) {
	var e struct {
		Errors []struct {
			Code   string
			Detail json.RawMessage
		}
	}
	if json.Unmarshal(body, &e) != nil || len(e.Errors) == 0 {
		return
	}
	c.Code = e.Errors[0].Code
	for _, one := range e.Errors {
		var detail struct{ Got string }
		if one.Code == "MANIFEST_BLOB_UNKNOWN" && json.Unmarshal(one.Detail, &detail) == nil && strings.Contains(detail.Got, ":") {
			c.Missing = append(c.Missing, detail.Got)
		}
	}
}

// offsetOf returns the offset that an upload's Range header says, -1 without one. "0-0" is an upload that holds
// nothing: chunks here have two bytes or more.
func offsetOf(h http.Header) int64 {
	_, last, ok := strings.Cut(h.Get("Range"), "-")
	end, err := strconv.ParseInt(last, 10, 64)
	switch {
	case !ok || err != nil:
		return -1
	case end == 0:
		return 0
	}
	return end + 1
}

// locationOf returns the path and query of an answer's Location.
func locationOf(req Target, h http.Header) string {
	at := h.Get("Location")
	if _, rest, ok := strings.Cut(at, "://"); ok { // an absolute one: any replica takes its path
		if _, path, ok := strings.Cut(rest, "/"); ok {
			return "/" + path
		}
		return ""
	}
	return strings.TrimPrefix(at, req.URL)
}
