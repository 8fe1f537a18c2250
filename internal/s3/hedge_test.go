package s3

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestHedge: a read that is not answered is sent again beside the first, and whichever succeeds counts.
func TestHedge(t *testing.T) {
	type plan func(*http.Request) (*http.Response, error)
	after := func(d time.Duration, p plan) plan {
		return func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(d):
				return p(r)
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}
	}
	good := func(*http.Request) (*http.Response, error) { return reply(200, "value"), nil }
	reset := func(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset") }
	broken := func(*http.Request) (*http.Response, error) { return fault(500, "InternalError"), nil }
	missing := func(*http.Request) (*http.Response, error) { return fault(404, "NoSuchKey"), nil }
	for name, c := range map[string]struct {
		requests []plan
		spent    bool // the budget of retries
		took     time.Duration
		kind     Kind // of the error, -1 for none
	}{
		"a connection that is dead":          {[]plan{hang, good}, false, 2 * time.Second, -1},
		"a slow store":                       {[]plan{after(4*time.Second, good), after(4*time.Second, good)}, false, 4 * time.Second, -1},
		"a slow store, and no token left":    {[]plan{after(4*time.Second, good)}, true, 4 * time.Second, -1},
		"the second is faster":               {[]plan{after(4*time.Second, good), after(time.Second, good)}, false, 3 * time.Second, -1},
		"both at once":                       {[]plan{after(4*time.Second, good), after(2*time.Second, good)}, false, 4 * time.Second, -1},
		"the first fails while two wait":     {[]plan{after(3*time.Second, reset), after(2*time.Second, good)}, false, 4 * time.Second, -1},
		"the second fails":                   {[]plan{after(4*time.Second, good), reset}, false, 4 * time.Second, -1},
		"absent, and the second hangs":       {[]plan{after(3*time.Second, missing), hang}, false, 3 * time.Second, NotFound},
		"absent, and the second says so too": {[]plan{after(3*time.Second, missing), missing}, false, 2 * time.Second, NotFound},
		"absent by the second":               {[]plan{hang, missing}, false, 2 * time.Second, NotFound},
		"a 500, and the second hangs":        {[]plan{after(3*time.Second, broken), hang, good}, false, 3*time.Second + backoffSlack, -1},
		"a store that hangs":                 {[]plan{hang, hang}, false, metadataTime, Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var requests, open atomic.Int32
				client := fakeClient(t, func(r *http.Request) (*http.Response, error) {
					resp, err := c.requests[requests.Add(1)-1](r)
					if err == nil {
						open.Add(1)
						resp.Body = &counted{ReadCloser: resp.Body, open: &open}
					}
					return resp, err
				})
				for c.spent && client.retries.spend() {
				}
				begin := time.Now()
				value, _, err := client.GetValue(t.Context(), "k", 10)
				if took := time.Since(begin); took != c.took && (c.took%time.Second != backoffSlack || took > c.took) {
					t.Errorf("it took %s, want %s", took, c.took)
				}
				switch {
				case c.kind < 0 && (err != nil || string(value) != "value"):
					t.Errorf("got %q, %v", value, err)
				case c.kind >= 0 && (err == nil || KindOf(err) != c.kind):
					t.Errorf("got %v of kind %d, want %d", err, KindOf(err), c.kind)
				}
				if n := int(requests.Load()); n != len(c.requests) {
					t.Errorf("%d requests, want %d", n, len(c.requests))
				}
				synctest.Wait()
				if n := open.Load(); n != 0 {
					t.Errorf("%d bodies were not closed", n)
				}
			})
		})
	}
	t.Run("a body outlives the answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var requests atomic.Int32
			client := fakeClient(t, func(r *http.Request) (*http.Response, error) {
				if requests.Add(1) == 1 {
					return hang(r)
				}
				resp := reply(200, "value")
				resp.Body = io.NopCloser(&bound{strings.NewReader("value"), r})
				return resp, nil
			})
			body, err := client.Get(t.Context(), "k", 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if got, err := io.ReadAll(body); err != nil || string(got) != "value" {
				t.Errorf("got %q, %v", got, err)
			}
			if err := body.Close(); err != nil {
				t.Error(err)
			}
		})
	})
}

// backoffSlack is how long a wait before another attempt may be.
const backoffSlack = 100 * time.Millisecond

// counted is a body that is open until it is closed.
type counted struct {
	io.ReadCloser
	open *atomic.Int32
}

func (c *counted) Close() error { c.open.Add(-1); return c.ReadCloser.Close() }

// bound is a body that ends with the context of its request.
type bound struct {
	io.Reader
	r *http.Request
}

func (b *bound) Read(p []byte) (int, error) {
	if err := b.r.Context().Err(); err != nil {
		return 0, err
	}
	return b.Reader.Read(p)
}
