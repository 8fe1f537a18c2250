package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"holdfast/internal/api"
	"holdfast/internal/data"
	"holdfast/internal/record"
)

// canary is in every error of a store that is out: no answer may hold it.
const canary = "canary-bucket"

// outage makes a store's calls fail: those numbered from first to last, counted from 1 once it is armed.
type outage struct {
	mu          sync.Mutex
	armed       bool
	after       bool // the call takes effect, and its answer is lost
	calls       int
	first, last int
	cause       error // nil: the stores' own ErrUnavailable
}

func (o *outage) arm(first, last int, after bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.armed, o.calls, o.first, o.last, o.after = true, 0, first, last, after
}

// end ends the outage and returns how many calls there were.
func (o *outage) end() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.armed = false
	return o.calls
}

// during makes a call, or fails instead of it, or after it.
func (o *outage) during(what string, unavailable error, call func() error) error {
	o.mu.Lock()
	out := false
	if o.armed {
		o.calls++
		out = o.calls >= o.first && o.calls <= o.last
	}
	after := o.after
	if o.cause != nil {
		unavailable = o.cause
	}
	o.mu.Unlock()
	if out && !after {
		return fmt.Errorf("s3: %s https://store.example/%s: %w", what, canary, unavailable)
	}
	err := call()
	if out {
		return fmt.Errorf("s3: %s https://store.example/%s: %w", what, canary, unavailable)
	}
	return err
}

// shaky is a record store with an outage.
type shaky struct {
	record.Store
	*outage
}

func (s shaky) Get(ctx context.Context, key record.Key) (rec record.Record, err error) {
	err = s.during("get", record.ErrUnavailable, func() error { rec, err = s.Store.Get(ctx, key); return err })
	return rec, err
}

func (s shaky) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (stamp record.Stamp, err error) {
	err = s.during("put", record.ErrUnavailable, func() error { stamp, err = s.Store.Put(ctx, key, value, cond); return err })
	return stamp, err
}

func (s shaky) Delete(ctx context.Context, key record.Key, cond record.Cond) error {
	return s.during("delete", record.ErrUnavailable, func() error { return s.Store.Delete(ctx, key, cond) })
}

func (s shaky) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		for entry, err := range s.Store.List(ctx, prefix, after) {
			if err := s.during("list", record.ErrUnavailable, func() error { return err }); !yield(entry, err) || err != nil {
				return
			}
		}
		if err := s.during("list", record.ErrUnavailable, func() error { return nil }); err != nil {
			yield(record.Entry{}, err)
		}
	}
}

// shakyData is a data store with an outage.
type shakyData struct {
	data.Store
	*outage
}

func (s shakyData) Create(ctx context.Context, id data.ID) (w data.Writer, err error) {
	err = s.during("create", data.ErrUnavailable, func() error { w, err = s.Store.Create(ctx, id); return err })
	return shakyWriter{w, s.outage}, err
}

func (s shakyData) Open(ctx context.Context, id data.ID, offset, length int64) (r io.ReadCloser, err error) {
	err = s.during("open", data.ErrUnavailable, func() error { r, err = s.Store.Open(ctx, id, offset, length); return err })
	return shakyReader{r, s.outage}, err
}

func (s shakyData) Stat(ctx context.Context, id data.ID) (size int64, err error) {
	err = s.during("stat", data.ErrUnavailable, func() error { size, err = s.Store.Stat(ctx, id); return err })
	return size, err
}

func (s shakyData) Delete(ctx context.Context, id data.ID) error {
	return s.during("delete", data.ErrUnavailable, func() error { return s.Store.Delete(ctx, id) })
}

type shakyWriter struct {
	data.Writer
	*outage
}

func (w shakyWriter) Write(p []byte) (n int, err error) {
	err = w.during("write", data.ErrUnavailable, func() error { n, err = w.Writer.Write(p); return err })
	return n, err
}

func (w shakyWriter) Commit(ctx context.Context) (size int64, err error) {
	err = w.during("commit", data.ErrUnavailable, func() error { size, err = w.Writer.Commit(ctx); return err })
	return size, err
}

type shakyReader struct {
	io.ReadCloser
	*outage
}

func (r shakyReader) Read(p []byte) (n int, err error) {
	failed := r.during("read", data.ErrUnavailable, func() error { return nil })
	if failed != nil {
		return 0, failed
	}
	return r.ReadCloser.Read(p)
}

// openShaky returns a site whose stores obey the outage.
func openShaky(t *testing.T, o *outage) *site {
	t.Helper()
	return open(t, options{
		records:  func(s record.Store) record.Store { return shaky{s, o} },
		segments: func(s data.Store) data.Store { return shakyData{s, o} },
	})
}

// routes are a request for every endpoint that reads or writes a store, and its answer in good times.
var routes = []exchange{
	{name: "end-2 GET", do: "GET " + app + "/blobs/" + layerDigest, status: 200},
	{name: "end-2 GET of a range", do: "GET " + app + "/blobs/" + layerDigest, header: []string{"Range: bytes=1-2"}, status: 206},
	{name: "end-2 GET of nothing", do: "GET " + app + "/blobs/" + unknown, status: 404},
	{name: "end-2 HEAD", do: "HEAD " + app + "/blobs/" + layerDigest, status: 200},
	{name: "end-2 HEAD of nothing", do: "HEAD " + app + "/blobs/" + unknown, status: 404},
	{name: "end-3 by tag", do: "GET " + app + "/manifests/v1", status: 200},
	{name: "end-3 by digest", do: "GET " + app + "/manifests/" + imageD, status: 200},
	{name: "end-3 HEAD", do: "HEAD " + app + "/manifests/v1", status: 200},
	{name: "end-3 of nothing", do: "GET " + app + "/manifests/v9", status: 404},
	{name: "end-4b", do: "POST " + app + "/blobs/uploads/?digest=" + textDigest, body: text, status: 201},
	{name: "end-4b of what is there", do: "POST " + app + "/blobs/uploads/?digest=" + layerDigest, body: layerText, status: 201},
	{name: "end-5 first", given: begun(0), do: "PATCH {location}", header: []string{"Content-Range: 0-15"}, body: text, status: 202},
	{name: "end-5 next", given: begun(5), do: "PATCH {location}", header: []string{"Content-Range: 5-15"}, body: text[5:], status: 202},
	{name: "end-6", given: begun(16), do: "PUT {location}?digest=" + textDigest, status: 201},
	{name: "end-6 with the last chunk", given: begun(5), do: "PUT {location}?digest=" + textDigest, header: []string{"Content-Range: 5-15"}, body: text[5:], status: 201},
	{name: "end-6 with all of it", given: begun(0), do: "PUT {location}?digest=" + textDigest, body: text, status: 201},
	{name: "end-7a", do: "PUT " + app + "/manifests/new", body: imageText(`"layers":[]`), status: 201},
	{name: "end-7a again", do: "PUT " + app + "/manifests/v1", body: image, status: 201},
	{name: "end-7a of an index", do: "PUT " + app + "/manifests/list", body: index, status: 201},
	{name: "end-7a with a subject", do: "PUT " + app + "/manifests/sig", body: imageText(`"layers":[],"subject":` + descriptor(imageType, image)), status: 201},
	{name: "end-7a of the unknown", do: "PUT " + app + "/manifests/new", body: imageText(`"layers":[` + descriptor("a/b", "x") + `]`), status: 404},
	{name: "end-7b with tags", do: "PUT " + app + "/manifests/" + imageD + "?tag=a&tag=b", body: image, status: 201},
	{name: "end-8", do: "GET " + app + "/tags/list?n=1", status: 200},
	{name: "end-8 of nothing", do: "GET " + nothing + "/tags/list", status: 404},
	{name: "end-8 HEAD", do: "HEAD " + app + "/tags/list", status: 200},
	{name: "end-9 of a tag", do: "DELETE " + app + "/manifests/v1", status: 202},
	{name: "end-9 of a manifest", do: "DELETE " + app + "/manifests/" + imageD, status: 202},
	{name: "end-9 of a manifest with a subject", do: "DELETE " + app + "/manifests/" + signatD, status: 202},
	{name: "end-9 of nothing", do: "DELETE " + app + "/manifests/v9", status: 404},
	{name: "end-10", do: "DELETE " + loose + "/blobs/" + looseDigest, status: 202},
	{name: "end-10 of what is referred to", do: "DELETE " + app + "/blobs/" + layerDigest, status: 405},
	{name: "end-10 of nothing", do: "DELETE " + app + "/blobs/" + unknown, status: 404},
	{name: "end-11", do: "POST " + nothing + "/blobs/uploads/?mount=" + layerDigest + "&from=acme/app", status: 201},
	{name: "end-11 from anywhere", do: "POST " + nothing + "/blobs/uploads/?mount=" + layerDigest, status: 201},
	{name: "end-12", do: "GET " + app + "/referrers/" + imageD, status: 200},
	{name: "end-12 HEAD", do: "HEAD " + app + "/referrers/" + imageD + "?artifactType=" + sigType, status: 200},
	{name: "end-13", given: begun(5), do: "GET {location}", status: 204},
	{name: "end-13 HEAD", given: begun(5), do: "HEAD {location}", status: 204},
	{name: "end-14", given: begun(5), do: "DELETE {location}", status: 204},
	{name: "the catalog", do: "GET /v2/_catalog", status: 200},
	{name: "the catalog, HEAD", do: "HEAD /v2/_catalog", status: 200},
}

// A new endpoint, or a new method of one, needs a request among the routes.
func TestRoutesAreAllOfThem(t *testing.T) {
	covered := map[string]bool{}
	for _, x := range routes {
		method, target, _ := strings.Cut(strings.ReplaceAll(x.do, "{location}", app+"/blobs/uploads/id"), " ")
		path, _, _ := strings.Cut(target, "?")
		covered[fmt.Sprint(method, " ", api.EndpointOf(path))] = true
	}
	for e, methods := range api.Endpoints() {
		for _, method := range methods {
			if base := e == api.EndpointOf("/v2/"); !base && !covered[fmt.Sprint(method, " ", e)] {
				t.Errorf("no request walks %s of endpoint %d", method, e)
			}
		}
	}
	if n := len(api.Endpoints()); n < 8 {
		t.Errorf("%d endpoints, want 8 or more", n)
	}
}

// Whatever call of a store fails, the answer is the one of good times or 503, and never tells that
// something is not there: 404 is a statement of fact. When the store is back, the client's next try is
// answered as ever.
func TestEveryCallThatFails(t *testing.T) {
	for _, kind := range []struct {
		name  string
		after bool
		lasts int // calls
	}{
		{"one call fails", false, 1},
		{"one answer is lost", true, 1},
		{"the store stays away", false, 1 << 30},
		{"the answers stay away", true, 1 << 30},
	} {
		for _, x := range routes {
			t.Run(kind.name+"/"+x.name, func(t *testing.T) {
				refused := 0
				for i, calls := 1, 1; i <= calls; i++ { // to the first that is not reached any more
					o := &outage{}
					s := openShaky(t, o)
					for _, before := range x.given {
						s.exchange(before)
					}
					o.arm(i, min(i+kind.lasts-1, 1<<30), kind.after)
					a := s.answer(s.request(x))
					s.registry.Close() // the work after the answer is under the outage too
					if calls = o.end(); calls >= i {
						calls = i + 1
					}
					switch a.Code {
					case x.status:
					case 503:
						refused++
					default:
						t.Errorf("%s, call %d out: %d, want %d or 503: %s\n%s", x.do, i, a.Code, x.status, a.Body, s.log)
					}
					again(s, x)
				}
				if refused == 0 {
					t.Errorf("no call of a store that fails is a 503: does %s make any?", x.do)
				}
			})
		}
	}
}

// again makes a request once more in good times. What the first try has done already is no error, but a
// delete may find nothing and a chunk may be there.
func again(s *site, x exchange) {
	s.Helper()
	a := s.answer(s.request(x))
	method, _, _ := strings.Cut(x.do, " ")
	done := method == "DELETE" && a.Code == 404 || method == "PATCH" && a.Code == 416
	if a.Code != x.status && !done {
		s.Errorf("%s, again in good times: %d, want %d: %s\n%s", x.do, a.Code, x.status, a.Body, s.log)
	}
}

func TestWhatAStoreSaysWrong(t *testing.T) {
	for _, x := range []struct {
		name   string
		cause  error
		status int
		code   string
	}{
		{"no answer in time is 503", context.DeadlineExceeded, 503, "UNAVAILABLE"},
		{"something that nobody foresaw is 500", errors.New("disk on fire"), 500, "UNKNOWN"},
		{"a store's cancellation that is not the client's is 500", context.Canceled, 500, "UNKNOWN"},
	} {
		t.Run(x.name, func(t *testing.T) {
			o := &outage{cause: x.cause}
			s := openShaky(t, o)
			o.arm(1, 1, false)
			s.exchange(exchange{do: "GET " + app + "/manifests/v1", status: x.status, code: x.code})
			if !strings.Contains(s.log.String(), "level=ERROR") || !strings.Contains(s.log.String(), canary) {
				t.Errorf("the operator is not told the cause: %s", s.log)
			}
		})
	}
}

// A blob's first bytes are read before the header goes out; what fails later breaks the transfer, so
// that nobody takes a part for the whole.
func TestStoreThatFailsInTheMiddleOfABlob(t *testing.T) {
	o := &outage{}
	s := openShaky(t, o)
	big := strings.Repeat("0123456789abcdef", 32<<10) // two buffers
	s.exchange(exchange{do: "POST " + app + "/blobs/uploads/?digest=" + digestOf(big), body: big, status: 201})
	for i, calls := 1, 1; i <= calls; i++ { // to the first that is not reached any more
		o.arm(i, i, false)
		r := httptest.NewRequestWithContext(t.Context(), "GET", app+"/blobs/"+digestOf(big), nil)
		a := s.answer(r)
		if calls = o.end(); calls >= i {
			calls = i + 1
		}
		if whole := a.Code == 200 && a.Body.Len() == len(big); a.Code != -1 && a.Code != 503 && !whole {
			t.Errorf("call %d out: %d with %d bytes", i, a.Code, a.Body.Len())
		}
		if a.Code == -1 && !strings.Contains(s.log.String(), "broke off") {
			t.Errorf("the log does not tell of the transfer that broke: %s", s.log)
		}
		s.log.Reset()
	}
	s.exchange(exchange{do: "GET " + app + "/blobs/" + digestOf(big), status: 200, text: &big})
}
