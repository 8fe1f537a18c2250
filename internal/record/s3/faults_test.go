package s3_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"holdfast/internal/record"
	records3 "holdfast/internal/record/s3"
	"holdfast/internal/s3"
	"holdfast/internal/s3/s3test"
)

// pair is a store whose requests meet faults, and the same store without them.
func pair(t *testing.T, server s3test.Server, wrap func(http.RoundTripper) http.RoundTripper) (faulty, good *records3.Store) {
	t.Helper()
	cfg := server.Config(t)
	good = records3.New(server.Open(t, cfg), "")
	cfg.Transport = wrap
	return records3.New(server.Open(t, cfg), ""), good
}

func nonce(t *testing.T) []byte {
	t.Helper()
	b := make([]byte, 1024)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// want is what Put must answer.
type want int

const (
	success want = iota
	conflict
	unknown // ErrUnavailable, never ErrConflict
)

func (w want) check(t *testing.T, err error) {
	t.Helper()
	switch {
	case w == success && err != nil,
		w == conflict && !errors.Is(err, record.ErrConflict),
		w == unknown && (!errors.Is(err, record.ErrUnavailable) || errors.Is(err, record.ErrConflict)):
		t.Errorf("put: %v", err)
	}
}

// TestPutFaults injects a fault into the conditional PUT, under both conditions.
func TestPutFaults(t *testing.T) {
	answer, applied := s3test.Answer, s3test.Applied
	for _, c := range []struct {
		name   string
		faults []s3test.Fault
		want   want
		puts   int // requests that Put may make
	}{
		{"none", nil, success, 1},
		{"500 before it was applied", []s3test.Fault{answer(500, "InternalError")}, success, 2},
		{"503 before it was applied", []s3test.Fault{answer(503, "SlowDown")}, success, 2},
		{"a proxy's 502 before it was applied", []s3test.Fault{answer(502, "")}, success, 2},
		{"409 before it was applied", []s3test.Fault{answer(409, "ConditionalRequestConflict")}, success, 2},
		{"429 twice", []s3test.Fault{answer(429, "TooManyRequests"), answer(429, "TooManyRequests")}, success, 3},
		{"reset before it was applied", []s3test.Fault{s3test.Reset}, success, 2},
		{"no answer, not applied", []s3test.Fault{s3test.Hang}, success, 2},
		{"applied, then 500", []s3test.Fault{applied(answer(500, "InternalError"))}, success, 1},
		{"applied, then 409", []s3test.Fault{applied(answer(409, "OperationAborted"))}, success, 1},
		{"applied, then 412, as after a proxy's replay", []s3test.Fault{applied(answer(412, "PreconditionFailed"))}, success, 1},
		{"applied, then reset", []s3test.Fault{applied(s3test.Reset)}, success, 1},
		{"applied, then no answer", []s3test.Fault{applied(s3test.Hang)}, success, 1},
		{"500 five times", slices.Repeat([]s3test.Fault{answer(500, "InternalError")}, 5), unknown, 5},
		{"403", []s3test.Fault{answer(403, "AccessDenied")}, unknown, 1},
		{"400", []s3test.Fault{answer(400, "InvalidRequest")}, unknown, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := s3test.Servers(t)[0]
			for _, swap := range []bool{false, true} {
				var counter s3test.Counter
				fault := s3test.Faults("PutObject", c.faults...)
				faulty, good := pair(t, server, func(next http.RoundTripper) http.RoundTripper {
					return counter.Wrap(fault(next))
				})
				cond := record.IfAbsent()
				if swap {
					stamp, err := good.Put(t.Context(), "a/k", nonce(t), cond)
					if err != nil {
						t.Fatal(err)
					}
					cond = record.IfVersion(stamp.Version)
				}
				value := nonce(t)
				begin := time.Now()
				stamp, err := faulty.Put(t.Context(), "a/k", value, cond)
				c.want.check(t, err)
				if puts := counter.Take()["PutObject"]; puts != c.puts {
					t.Errorf("%d requests to put, want %d", puts, c.puts)
				}
				if took := time.Since(begin); took > 8*time.Second {
					t.Errorf("put took %s", took)
				}
				if err != nil {
					continue
				}
				rec, err := good.Get(t.Context(), "a/k")
				if err != nil || !bytes.Equal(rec.Value, value) || rec.Version != stamp.Version {
					t.Errorf("after success the key holds %d bytes at %s (%v), want ours at %s", len(rec.Value), rec.Version, err, stamp.Version)
				}
				if off := rec.Modified.Sub(stamp.Modified).Abs(); off > 2*time.Second {
					t.Errorf("put says %s, get %s", stamp.Modified, rec.Modified)
				}
			}
		})
	}
}

// TestPutOvertaken lets another writer change the key before the look: after a refusal that is a
// conflict, after a lost answer it is not.
func TestPutOvertaken(t *testing.T) {
	server := s3test.Servers(t)[0]
	for _, c := range []struct {
		name    string
		applied bool
		fault   s3test.Fault
		want    want
	}{
		{"412", false, nil, conflict}, // the store's own
		{"409", false, s3test.Answer(409, "ConditionalRequestConflict"), conflict},
		{"404", false, s3test.Answer(404, "NoSuchKey"), conflict},
		{"500", false, s3test.Answer(500, "InternalError"), unknown},
		{"reset", false, s3test.Reset, unknown},
		{"applied and reset", true, s3test.Reset, unknown},
		{"applied and 500", true, s3test.Answer(500, "InternalError"), unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			var good *records3.Store
			var old record.Stamp
			overtake := func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
				version := old.Version
				if c.applied {
					resp, err := next.RoundTrip(r)
					if err != nil {
						return nil, err
					}
					if err := resp.Body.Close(); err != nil {
						return nil, err
					}
					rec, err := good.Get(t.Context(), "a/k")
					if err != nil {
						return nil, err
					}
					version = rec.Version
				}
				if _, err := good.Put(t.Context(), "a/k", nonce(t), record.IfVersion(version)); err != nil {
					t.Errorf("the other writer: %v", err)
				}
				if c.fault == nil {
					return next.RoundTrip(r)
				}
				return c.fault(r, next)
			}
			var faulty *records3.Store
			faulty, good = pair(t, server, s3test.Faults("PutObject", overtake))
			var err error
			if old, err = good.Put(t.Context(), "a/k", nonce(t), record.IfAbsent()); err != nil {
				t.Fatal(err)
			}
			_, err = faulty.Put(t.Context(), "a/k", nonce(t), record.IfVersion(old.Version))
			c.want.check(t, err)
		})
	}
}

// TestLateDuplicate lets a lost first attempt land after the second one: it must change nothing.
func TestLateDuplicate(t *testing.T) {
	server := s3test.Servers(t)[0]
	var late func() (*http.Response, error)
	keep := func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		body := new(bytes.Buffer)
		if _, err := body.ReadFrom(r.Body); err != nil {
			return nil, err
		}
		copied := r.Clone(t.Context())
		copied.Body = readCloser{body}
		late = func() (*http.Response, error) { return next.RoundTrip(copied) }
		return s3test.Answer(500, "InternalError")(r, next)
	}
	faulty, good := pair(t, server, s3test.Faults("PutObject", keep))
	old, err := good.Put(t.Context(), "a/k", nonce(t), record.IfAbsent())
	if err != nil {
		t.Fatal(err)
	}
	stamp, err := faulty.Put(t.Context(), "a/k", nonce(t), record.IfVersion(old.Version))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := late()
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("the late duplicate: %s %v", resp.Status, err)
	}
	if rec, err := good.Get(t.Context(), "a/k"); err != nil || rec.Version != stamp.Version {
		t.Errorf("after it: %v %v, want %v", rec.Version, err, stamp.Version)
	}
}

type readCloser struct{ *bytes.Buffer }

func (readCloser) Close() error { return nil }

// TestGetFaults wants an absent key told from a store that says nothing about it.
func TestGetFaults(t *testing.T) {
	server := s3test.Servers(t)[0]
	always := func(f s3test.Fault) []s3test.Fault { return []s3test.Fault{f, f, f} }
	for _, c := range []struct {
		name   string
		faults []s3test.Fault
		want   error // nil: the value
		gets   int
	}{
		{"500 once", []s3test.Fault{s3test.Answer(500, "InternalError")}, nil, 2},
		{"reset twice", []s3test.Fault{s3test.Reset, s3test.Reset}, nil, 3},
		{"one dead connection", []s3test.Fault{s3test.Hang}, nil, 2},
		{"a body that ends early", []s3test.Fault{short}, nil, 2},
		{"bodies that end early", always(short), record.ErrUnavailable, 3},
		{"a proxy's 404", always(s3test.Answer(404, "")), record.ErrUnavailable, 3},
		{"no bucket", []s3test.Fault{s3test.Answer(404, "NoSuchBucket")}, record.ErrUnavailable, 1},
		{"403", []s3test.Fault{s3test.Answer(403, "AccessDenied")}, record.ErrUnavailable, 1},
		{"no such key", []s3test.Fault{s3test.Answer(404, "NoSuchKey")}, record.ErrNotFound, 1},
		{"hangs", always(s3test.Hang), record.ErrUnavailable, 2}, // the second beside the first
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var counter s3test.Counter
			fault := s3test.Faults("GetObject", c.faults...)
			faulty, good := pair(t, server, func(next http.RoundTripper) http.RoundTripper { return counter.Wrap(fault(next)) })
			if _, err := good.Put(t.Context(), "a/k", nonce(t), record.IfAbsent()); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			_, err := faulty.Get(t.Context(), "a/k")
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if gets := counter.Take()["GetObject"]; gets != c.gets {
				t.Errorf("%d requests, want %d", gets, c.gets)
			}
			if took := time.Since(begin); took > 8*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// short breaks the body off.
func short(r *http.Request, next http.RoundTripper) (*http.Response, error) {
	return s3test.ShortReads(next).RoundTrip(r)
}

// TestListFaults wants no list that is cut to look like a whole one.
func TestListFaults(t *testing.T) {
	server := s3test.Servers(t)[0]
	for _, answer := range []s3test.Fault{s3test.Answer(500, "InternalError"), s3test.Answer(403, "AccessDenied"), s3test.Answer(200, "InternalError")} {
		faulty, _ := pair(t, server, s3test.Faults("ListObjectsV2", slices.Repeat([]s3test.Fault{answer}, 5)...))
		var last error
		for _, err := range faulty.List(t.Context(), "a/", "") {
			last = err
		}
		if !errors.Is(last, record.ErrUnavailable) {
			t.Errorf("a list that failed: %v", last)
		}
	}
}

// TestRequests states what operations cost.
func TestRequests(t *testing.T) {
	s3test.Each(t, func(t *testing.T, server s3test.Server) {
		var counter s3test.Counter
		store := records3.New(server.Client(t, func(c *s3.Config) { c.Transport = counter.Wrap }), "")
		expect := func(what string, want map[string]int) {
			t.Helper()
			got := counter.Take()
			for op, n := range want {
				if got[op] != n {
					t.Errorf("%s: %d %s, want %d", what, got[op], op, n)
				}
				delete(got, op)
			}
			for op, n := range got {
				t.Errorf("%s: %d %s", what, n, op)
			}
		}
		stamp, err := store.Put(t.Context(), "a/k", nonce(t), record.IfAbsent())
		if err != nil {
			t.Fatal(err)
		}
		expect("create", map[string]int{"PutObject": 1})
		if _, err := store.Put(t.Context(), "a/k", nonce(t), record.IfVersion(stamp.Version)); err != nil {
			t.Fatal(err)
		}
		expect("swap", map[string]int{"PutObject": 1})
		if _, err := store.Put(t.Context(), "a/k", nonce(t), record.IfAbsent()); !errors.Is(err, record.ErrConflict) {
			t.Fatal(err)
		}
		expect("conflict", map[string]int{"PutObject": 1, "GetObject": 1})
		if _, err := store.Get(t.Context(), "a/k"); err != nil {
			t.Fatal(err)
		}
		expect("get", map[string]int{"GetObject": 1})
		if err := store.Delete(t.Context(), "a/k", record.IfVersion(stamp.Version)); !errors.Is(err, record.ErrUnsupported) {
			t.Fatal(err)
		}
		expect("conditional delete", nil)
	})
}
