package load

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

func TestContentFollowsFromItsName(t *testing.T) {
	c := newContent("layer", 100_000)
	whole := c.bytes(0, c.size)
	if digest.FromBytes(whole) != c.digest || int64(len(whole)) != c.size {
		t.Error("the bytes are not the digest's")
	}
	if !bytes.Equal(c.bytes(777, 5000), whole[777:5777]) {
		t.Error("a part differs from the whole")
	}
	if newContent("other", c.size).digest == c.digest {
		t.Error("two names have the same bytes")
	}
}

func TestHistoryRoundTrip(t *testing.T) {
	h := NewHistory(7)
	want := []Call{
		{Client: 1, N: 1, Op: ManifestPut, Repo: "a/b", Ref: "c1-a", Target: "http://x", Status: 201, Ret: 5, Digest: "sha256:00"},
		{Client: 2, N: 1, Op: TagsList, Names: []string{"a", "b"}, Status: 200, Call: 3, Ret: 9},
	}
	for _, c := range want {
		h.Add(c)
	}
	var file bytes.Buffer
	if _, err := h.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestNothingIsSentTwice: the connection breaks under a request on a connection that was used before, which is when
// net/http sends a GET again.
func TestNothingIsSentTwice(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/v2/" {
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	}))
	defer s.Close()
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete} {
		w := newWorker(&Load{History: NewHistory(1)}, 1, defaults(Options{Target: func(*rand.Rand) string { return s.URL }}))
		ask := func(path string) Call {
			c := Call{Target: s.URL}
			r := request{method: method, url: s.URL + path}
			if method == http.MethodPut {
				r.body, r.size = bytes.NewReader([]byte("body")), 4
			}
			w.send(t.Context(), &c, r)
			return c
		}
		if c := ask("/v2/"); !c.OK() {
			t.Fatalf("%s: %+v", method, c)
		}
		before := asked.Load()
		if c := ask("/broken"); !c.Failed() || c.Status != 0 || c.Err == "" {
			t.Errorf("%s: %+v, want a failure without a status", method, c)
		}
		if n := asked.Load() - before; n > 2 || n == 2 && method != http.MethodGet && method != http.MethodHead {
			t.Errorf("%s was sent %d times", method, n)
		}
		w.http.CloseIdleConnections()
	}
}

// TestAPageThatIsMissingIsNoShortList: the first page of a list is answered and the second is not.
func TestAPageThatIsMissingIsNoShortList(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("last") {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Link", `</v2/r/tags/list?n=1&last=a>; rel="next"`)
		_, _ = w.Write([]byte(`{"name":"r","tags":["a"]}`))
	}))
	defer s.Close()
	w := newWorker(&Load{History: NewHistory(1)}, 1, defaults(Options{Target: func(*rand.Rand) string { return s.URL }}))
	w.listTags(t.Context(), "r", 1)
	if c := w.history.Calls()[0]; !c.Failed() || c.Status != 0 || c.Corrupt || len(c.Names) != 1 {
		t.Errorf("%+v, want a call without an answer", c)
	}
}

// TestWrongBytesAreSeen: a whole blob and a part of one, each with other bytes than its own.
func TestWrongBytesAreSeen(t *testing.T) {
	c := newContent("blob", 1000)
	bad := c.bytes(0, c.size)
	bad[500] ^= 1
	body, status := bad, http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	defer s.Close()
	l := &Load{History: NewHistory(1)}
	w := newWorker(l, 1, defaults(Options{Target: func(*rand.Rand) string { return s.URL }}))
	last := func() Call { calls := l.History.Calls(); return calls[len(calls)-1] }

	w.pull(context.Background(), "r", c.digest)
	if got := last(); !got.Corrupt {
		t.Errorf("%+v is not seen to be corrupt", got)
	}
	body, status = bad[:1], http.StatusPartialContent
	body[0] ^= 0xff
	w.pullPart(context.Background(), layer{"r", newContent("blob", 1)})
	if got := last(); !got.Corrupt {
		t.Errorf("%+v is not seen to be corrupt", got)
	}
	body, status = c.bytes(0, c.size), http.StatusOK
	w.pull(context.Background(), "r", c.digest)
	if got := last(); got.Corrupt || !got.OK() {
		t.Errorf("%+v, want it right", got)
	}
}
