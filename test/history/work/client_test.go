package work

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/test/history/call"
)

// TestNoWriteIsRepeated: a server that breaks kept connections under a request gets each write once, and each is recorded as
// without an answer. The transport would send some of them again if it could.
func TestNoWriteIsRepeated(t *testing.T) {
	var got atomic.Int32
	breaks := false
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !breaks || r.Method == http.MethodGet {
			return
		}
		got.Add(1)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}))
	defer s.Close()
	cl := newClient(call.NewLog(), 1, 1)
	defer cl.http.CloseIdleConnections()
	to := Target{"it", s.URL}
	for _, r := range []request{
		{method: http.MethodPut, path: "/", body: []byte("body")},
		{method: http.MethodPut, path: "/"},
		{method: http.MethodPost, path: "/"},
		{method: http.MethodPatch, path: "/", body: []byte("body")},
		{method: http.MethodDelete, path: "/"},
	} {
		breaks = false
		var c call.Call
		cl.send(t.Context(), &c, to, request{method: http.MethodGet, path: "/"}) // so that there is a connection to keep
		if c.Status != http.StatusOK {
			t.Fatalf("%+v", c)
		}
		breaks = true
		got.Store(0)
		c = call.Call{Op: call.ManifestPut}
		cl.send(t.Context(), &c, to, r)
		if n := got.Load(); n != 1 || c.Status != 0 || !c.Unknown() {
			t.Errorf("%s with %d bytes came %d times, and is recorded as %+v", r.method, len(r.body), n, c)
		}
	}
}

// TestUnsent: a request for which there was no connection had no effect.
func TestUnsent(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	url := s.URL
	s.Close()
	cl := newClient(call.NewLog(), 1, 1)
	c := call.Call{Op: call.ManifestPut}
	cl.send(t.Context(), &c, Target{"it", url}, request{method: http.MethodPut, path: "/"})
	if c.Sent() || c.Unknown() || !c.Failed() {
		t.Errorf("recorded as %+v", c)
	}
}

// TestCut: an answer that breaks off is a failure, also when its status was good.
func TestCut(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("short")) // the test's own client reads it
	}))
	defer s.Close()
	cl := newClient(call.NewLog(), 1, 1)
	c := call.Call{Op: call.BlobGet}
	cl.send(t.Context(), &c, Target{"it", s.URL}, request{method: http.MethodGet, path: "/"})
	if !c.Cut || !c.Failed() || c.Status != http.StatusOK {
		t.Errorf("recorded as %+v", c)
	}
}

// TestContent: the bytes of a blob follow from its name, and so does all that is pushed.
func TestContent(t *testing.T) {
	opt := Options{Seed: 7, Prefix: "p"}
	one, two := newWorld(opt), newWorld(opt)
	if one.layers[3].digest != two.layers[3].digest || one.common[1].digest != two.common[1].digest || one.index.digest != two.index.digest {
		t.Error("the same seed makes other contents")
	}
	other := newWorld(Options{Seed: 8, Prefix: "p"})
	if one.layers[3].digest == other.layers[3].digest {
		t.Error("another seed makes the same contents")
	}
	if i := one.common[1]; len(i.facts.Blobs) != 3 || i.facts.Size != int64(len(i.body)) {
		t.Errorf("an image says of itself %+v", i.facts)
	}
}

// TestStop: clients end when they are told to, in the middle of nothing.
func TestStop(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	w := Run(t.Context(), Options{Clients: 4, Prefix: "p", Think: -1, Targets: []Target{{"it", s.URL}}})
	for w.Log.Len() < 50 {
		time.Sleep(time.Millisecond)
	}
	w.Stop()
	n := w.Log.Len()
	w.Stop()
	if w.Log.Len() != n {
		t.Error("a call after the end")
	}
	for _, c := range w.Log.Calls() {
		if c.Ret < c.Call || c.N < 1 || c.Client < 1 {
			t.Fatalf("a call without its place: %+v", c)
		}
	}
}

func TestOffsets(t *testing.T) {
	for value, want := range map[string]int64{"": -1, "0-0": 0, "0-1": 2, "0-99": 100, "x": -1, "0-x": -1} {
		if got := offsetOf(http.Header{"Range": {value}}); got != want {
			t.Errorf("Range: %q is %d, want %d", value, got, want)
		}
	}
}

func TestNextLinks(t *testing.T) {
	const path = "/v2/r/tags/list"
	for _, test := range []struct {
		link, last string
		limit      int
		good       bool
	}{
		{path + "?last=a&n=2", "a", 2, true},
		{path + "?last=a&n=1000", "a", 0, true},
		{path + "?last=b&n=2", "a", 2, false},
		{path + "?last=a&n=3", "a", 2, false},
		{"/v2/other/tags/list?last=a&n=2", "a", 2, false},
		{path, "a", 2, false},
		{path + "?last=&n=2", "", 2, false},
	} {
		if text := checkNext(test.link, path, test.last, test.limit); (text == "") != test.good {
			t.Errorf("%s after %q: %q", test.link, test.last, text)
		}
	}
}
