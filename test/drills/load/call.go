package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// The operations.
const (
	BlobStart      = "blob.start"      // POST; Ref: none
	BlobAppend     = "blob.append"     // PATCH; Ref: the digest that it will be
	BlobStatus     = "blob.status"     // GET of an upload
	BlobCommit     = "blob.commit"     // PUT
	BlobMount      = "blob.mount"      // POST with mount; From: the other repository
	BlobGet        = "blob.get"        // whole
	BlobRange      = "blob.range"      // GET of a part
	BlobHead       = "blob.head"       //
	BlobDelete     = "blob.delete"     //
	ManifestPut    = "manifest.put"    // Ref: a tag or the digest; Digest: what is put
	ManifestGet    = "manifest.get"    // Ref: a tag or a digest; Digest: of what came
	ManifestDelete = "manifest.delete" // Ref: the digest
	TagDelete      = "tag.delete"      // Ref: the tag
	TagsList       = "tags.list"       // all pages, as one call; Names
	ReferrersList  = "referrers.list"  // Ref: the subject; Names: the digests
)

// Call is one request and what came of it; a line of the history.
type Call struct {
	Client  int      `json:"client"`
	N       int      `json:"n"` // of the client's calls, from 1; a client makes one at a time
	Op      string   `json:"op"`
	Repo    string   `json:"repo,omitempty"`
	Ref     string   `json:"ref,omitempty"`     // tag or digest that the request names
	From    string   `json:"from,omitempty"`    // repository of a mount
	Refs    []string `json:"refs,omitempty"`    // blobs and manifests that a manifest names which is put
	Subject string   `json:"subject,omitempty"` // of a manifest that is put
	Target  string   `json:"target"`            // base URL that it was sent to
	Final   bool     `json:"final,omitempty"`
	Faulty  bool     `json:"faulty,omitempty"` // the fault lasted when it began

	Call   int64    `json:"call_ns"` // since the history began
	Ret    int64    `json:"ret_ns"`
	Status int      `json:"status"` // 0: no answer
	Code   string   `json:"code,omitempty"`
	Digest string   `json:"digest,omitempty"` // of the value that was written, or read
	Len    int64    `json:"len"`              // bytes of the body sent or received
	Names  []string `json:"names,omitempty"`
	Wait   int64    `json:"wait_ns"` // longest time without a byte either way

	Again   bool   `json:"again,omitempty"`   // repeats an earlier request whose outcome was not known
	Cut     bool   `json:"cut,omitempty"`     // the answer began and broke off, and was seen to
	Corrupt bool   `json:"corrupt,omitempty"` // the answer ended well with wrong bytes
	NoHint  bool   `json:"no_hint,omitempty"` // 429 or 503 without Retry-After
	Err     string `json:"err,omitempty"`
}

// Write reports whether the operation changes what others see.
func (c *Call) Write() bool {
	switch c.Op {
	case BlobCommit, BlobMount, BlobDelete, ManifestPut, ManifestDelete, TagDelete, BlobAppend:
		return true
	}
	return false
}

// Failed reports whether the call got no answer, an answer that broke off, or a 429 or 5xx. Of a write it
// is then not known whether it happened.
func (c *Call) Failed() bool {
	return c.Status == 0 || c.Cut || c.Status == http.StatusTooManyRequests || c.Status >= 500
}

// OK reports whether the call did what it was for.
func (c *Call) OK() bool { return !c.Failed() && !c.Corrupt && c.Status >= 200 && c.Status < 300 }

// History is what was asked and answered, in the order of the answers. Safe for concurrent use.
type History struct {
	Seed uint64

	began  time.Time
	mu     sync.Mutex
	calls  []Call
	faulty bool
}

// NewHistory begins a history now.
func NewHistory(seed uint64) *History { return &History{Seed: seed, began: time.Now()} }

// Now is the time of the history, in nanoseconds since it began.
func (h *History) Now() int64 { return int64(time.Since(h.began)) }

// SetFaulty says that a fault begins or ends.
func (h *History) SetFaulty(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faulty = on
}

func (h *History) begin(c *Call) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.Faulty = h.faulty
	c.Call = h.Now()
}

// Add records a call.
func (h *History) Add(c Call) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, c)
}

// Calls returns what was recorded until now.
func (h *History) Calls() []Call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// Len is the number of calls until now.
func (h *History) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.calls)
}

// WriteTo writes the history, a line of JSON for each call.
func (h *History) WriteTo(w io.Writer) (written int64, err error) {
	out := &counting{w: w}
	enc := json.NewEncoder(out)
	for _, c := range h.Calls() {
		if err := enc.Encode(c); err != nil {
			return out.n, fmt.Errorf("load: write history: %w", err)
		}
	}
	return out.n, nil
}

// Read is the inverse of WriteTo.
func Read(r io.Reader) (calls []Call, err error) {
	for dec := json.NewDecoder(r); ; {
		var c Call
		switch err := dec.Decode(&c); {
		case errors.Is(err, io.EOF):
			return calls, nil
		case err != nil:
			return calls, fmt.Errorf("load: read history: call %d: %w", len(calls)+1, err)
		}
		calls = append(calls, c)
	}
}

type counting struct {
	w io.Writer
	n int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
