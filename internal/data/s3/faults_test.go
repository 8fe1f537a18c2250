package s3_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/data"
	datas3 "holdfast/internal/data/s3"
	"holdfast/internal/s3"
	"holdfast/internal/s3/s3test"
)

const part = s3.MinPartSize

func newID(t *testing.T) data.ID {
	t.Helper()
	return data.ID(hex.EncodeToString(random(t, 16)))
}

func random(t *testing.T, n int) []byte {
	t.Helper()
	var seed [32]byte
	if _, err := rand.Read(seed[:]); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := mathrand.NewChaCha8(seed).Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// open returns a store with small parts whose requests pass through wrap, nil for none.
func open(t *testing.T, server s3test.Server, budget *datas3.Budget, wrap func(http.RoundTripper) http.RoundTripper) (*datas3.Store, *s3.Client) {
	t.Helper()
	client := server.Client(t, func(c *s3.Config) { c.PartSize, c.Transport = part, wrap })
	return datas3.New(client, "", budget), client
}

// write stores content and returns what Commit said.
func write(t *testing.T, store *datas3.Store, content []byte) (data.ID, error) {
	t.Helper()
	id := newID(t)
	w, err := store.Create(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := w.Write(content); err != nil {
		return id, err
	}
	size, err := w.Commit(t.Context())
	if err == nil && size != int64(len(content)) {
		t.Errorf("commit: %d bytes of %d", size, len(content))
	}
	return id, err
}

func read(t *testing.T, store *datas3.Store, id data.ID) ([]byte, error) {
	t.Helper()
	r, err := store.Open(t.Context(), id, 0, -1)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(r)
	return got, errors.Join(err, r.Close())
}

func wantContent(t *testing.T, store *datas3.Store, id data.ID, want []byte) {
	t.Helper()
	got, err := read(t, store, id)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("segment %s: %d bytes, %v; want %d", id, len(got), err, len(want))
	}
}

// TestRequests states what a segment costs.
func TestRequests(t *testing.T) {
	s3test.Each(t, func(t *testing.T, server s3test.Server) {
		var counter s3test.Counter
		store, _ := open(t, server, newBudget(t, 64<<20), counter.Wrap)
		for _, c := range []struct {
			size int
			want map[string]int
		}{
			{0, map[string]int{"PutObject": 1}},
			{1, map[string]int{"PutObject": 1}},
			{part, map[string]int{"PutObject": 1}},
			{part + 1, map[string]int{"CreateMultipartUpload": 1, "UploadPart": 2, "CompleteMultipartUpload": 1}},
			{3 * part, map[string]int{"CreateMultipartUpload": 1, "UploadPart": 3, "CompleteMultipartUpload": 1}},
		} {
			content := random(t, c.size)
			id, err := write(t, store, content)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, counter.Take()); diff != "" {
				t.Errorf("write of %d bytes (-want +got):\n%s", c.size, diff)
			}
			wantContent(t, store, id, content)
			if diff := cmp.Diff(map[string]int{"GetObject": 1}, counter.Take()); diff != "" {
				t.Errorf("read of %d bytes (-want +got):\n%s", c.size, diff)
			}
		}
	})
}

// TestCommitFaults: what was applied is found, what was not is sent again, what was refused is an error.
func TestCommitFaults(t *testing.T) {
	answer, applied := s3test.Answer, s3test.Applied
	always := func(f s3test.Fault) []s3test.Fault { return []s3test.Fault{f, f, f, f, f} }
	for _, c := range []struct {
		op     string
		name   string
		faults []s3test.Fault
		ok     bool
	}{
		{"PutObject", "500", []s3test.Fault{answer(500, "InternalError")}, true},
		{"PutObject", "applied, then reset", []s3test.Fault{applied(s3test.Reset)}, true},
		{"PutObject", "503 always", always(answer(503, "SlowDown")), false},
		{"PutObject", "403", []s3test.Fault{answer(403, "AccessDenied")}, false},
		{"CreateMultipartUpload", "applied, then 500", []s3test.Fault{applied(answer(500, "InternalError"))}, true},
		{"UploadPart", "500, reset", []s3test.Fault{answer(500, "InternalError"), s3test.Reset}, true},
		{"UploadPart", "403 always", always(answer(403, "AccessDenied")), false},
		{"CompleteMultipartUpload", "500", []s3test.Fault{answer(500, "InternalError")}, true},
		{"CompleteMultipartUpload", "200 with an error", []s3test.Fault{answer(200, "InternalError")}, true},
		{"CompleteMultipartUpload", "applied, then 500", []s3test.Fault{applied(answer(500, "InternalError"))}, true},
		{"CompleteMultipartUpload", "applied, then 200 with an error", []s3test.Fault{applied(answer(200, "InternalError"))}, true},
		{"CompleteMultipartUpload", "applied, then reset", []s3test.Fault{applied(s3test.Reset)}, true},
		{"CompleteMultipartUpload", "409", []s3test.Fault{answer(409, "ConditionalRequestConflict")}, true},
		{"CompleteMultipartUpload", "no such upload", []s3test.Fault{answer(404, "NoSuchUpload")}, false},
		{"CompleteMultipartUpload", "invalid part", []s3test.Fault{answer(400, "InvalidPart")}, false},
	} {
		t.Run(c.op+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			server := s3test.Servers(t)[0]
			store, client := open(t, server, newBudget(t, 64<<20), s3test.Faults(c.op, c.faults...))
			content := random(t, 1000)
			if c.op != "PutObject" {
				content = random(t, 2*part+1000)
			}
			id, err := write(t, store, content)
			if c.ok {
				if err != nil {
					t.Fatal(err)
				}
				wantContent(t, store, id, content)
				return
			}
			if !errors.Is(err, data.ErrUnavailable) {
				t.Errorf("got %v, want data.ErrUnavailable", err)
			}
			if _, err := store.Stat(t.Context(), id); !errors.Is(err, data.ErrNotFound) {
				t.Errorf("a segment whose commit failed: %v", err)
			}
			if n := uploads(t, client); n != 0 {
				t.Errorf("%d uploads are left", n)
			}
		})
	}
}

// broken lets the first n reads of each call break off after some bytes.
func broken(after int64) s3test.Fault {
	return func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil {
			resp.Body = &cut{ReadCloser: resp.Body, rest: after}
		}
		return resp, err
	}
}

type cut struct {
	io.ReadCloser
	rest int64
}

func (c *cut) Read(p []byte) (int, error) {
	if c.rest == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.rest)])
	c.rest -= int64(n)
	return n, err
}

func TestReadResumes(t *testing.T) {
	server := s3test.Servers(t)[0]
	other := func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil {
			resp.Header.Set("Etag", `"another"`)
		}
		return resp, err
	}
	repeat := func(n int, f s3test.Fault) (faults []s3test.Fault) {
		for range n {
			faults = append(faults, f)
		}
		return faults
	}
	for _, c := range []struct {
		name   string
		faults []s3test.Fault
		ok     bool
	}{
		{"broken ten times, with progress", repeat(10, broken(10_000)), true},
		{"broken three times without a byte", repeat(3, broken(0)), true},
		{"broken without a byte", repeat(9, broken(0)), false},
		{"broken, then 500 once", []s3test.Fault{broken(5), s3test.Answer(500, "InternalError")}, true},
		{"broken, then gone", []s3test.Fault{broken(5), s3test.Answer(404, "NoSuchKey")}, false},
		{"broken, then another object", []s3test.Fault{broken(5), other}, false},
		{"a proxy that ignores ranges", []s3test.Fault{broken(5), ignoreRange, ignoreRange, ignoreRange, ignoreRange, ignoreRange, ignoreRange, ignoreRange, ignoreRange, ignoreRange, ignoreRange, ignoreRange, ignoreRange}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store, _ := open(t, server, newBudget(t, 64<<20), s3test.Faults("GetObject", c.faults...))
			content := random(t, 300_000)
			id, err := write(t, store, content)
			if err != nil {
				t.Fatal(err)
			}
			got, err := read(t, store, id)
			switch {
			case !bytes.HasPrefix(content, got):
				t.Error("wrong bytes")
			case c.ok && (err != nil || len(got) != len(content)):
				t.Errorf("%d of %d bytes, %v", len(got), len(content), err)
			case !c.ok && !errors.Is(err, data.ErrUnavailable) && !errors.Is(err, data.ErrNotFound):
				t.Errorf("%d of %d bytes, %v", len(got), len(content), err)
			}
		})
	}
}

func ignoreRange(r *http.Request, next http.RoundTripper) (*http.Response, error) {
	return s3test.Answer(200, "InternalError")(r, next)
}

// TestStall: a body that stops is given up and resumed.
func TestStall(t *testing.T) {
	t.Parallel()
	server := s3test.Servers(t)[0]
	stall := func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil {
			resp.Body = &stalled{ReadCloser: resp.Body, rest: 1000, ctx: r.Context()}
		}
		return resp, err
	}
	store, _ := open(t, server, newBudget(t, 64<<20), s3test.Faults("GetObject", stall))
	content := random(t, 100_000)
	id, err := write(t, store, content)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	wantContent(t, store, id, content)
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
}

type stalled struct {
	io.ReadCloser
	rest int
	ctx  context.Context
}

func (s *stalled) Read(p []byte) (int, error) {
	if s.rest == 0 {
		<-s.ctx.Done()
		return 0, s.ctx.Err()
	}
	n, err := s.ReadCloser.Read(p[:min(len(p), s.rest)])
	s.rest -= n
	return n, err
}

// TestAbort: nothing is left of a multipart upload, also when the writer's context has ended. A part that was on its way may bring the upload back at Ceph, which
// the collector's sweep sees later.
func TestAbort(t *testing.T) {
	s3test.Each(t, func(t *testing.T, server s3test.Server) {
		store, client := open(t, server, newBudget(t, 64<<20), nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w, err := store.Create(ctx, newID(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(random(t, 2*part+1000)); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(10 * time.Second)
		for uploads(t, client) == 0 && time.Now().Before(deadline) {
			time.Sleep(5 * time.Millisecond) // until the first part has begun one
		}
		cancel()
		w.Abort()
		if n := uploads(t, client); n != 0 {
			swept, err := store.Sweep(t.Context(), client.Now().Add(time.Hour))
			if left := uploads(t, client); left != 0 || err != nil || n > 1 {
				t.Errorf("%d uploads after Abort, %d swept, %d left, %v", n, swept, left, err)
			}
		}
	})
}

func TestSweep(t *testing.T) {
	s3test.Each(t, func(t *testing.T, server s3test.Server) {
		store, client := open(t, server, newBudget(t, 64<<20), nil)
		id := newID(t)
		key := fmt.Sprintf("d/%s/%s", id[:2], id)
		if _, err := client.CreateUpload(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if n, err := store.Sweep(t.Context(), client.Now().Add(-time.Hour)); n != 0 || err != nil {
			t.Errorf("a fresh upload: %d aborted, %v", n, err)
		}
		if n, err := store.Sweep(t.Context(), client.Now().Add(time.Hour)); n != 1 || err != nil {
			t.Errorf("a stale upload: %d aborted, %v", n, err)
		}
		if n := uploads(t, client); n != 0 {
			t.Errorf("%d uploads are left", n)
		}
	})
}

func uploads(t *testing.T, client *s3.Client) (n int) {
	t.Helper()
	for _, err := range client.ListUploads(t.Context(), "d/") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// TestPresignedURL reads without credentials.
func TestPresignedURL(t *testing.T) {
	s3test.Each(t, func(t *testing.T, server s3test.Server) {
		store, _ := open(t, server, newBudget(t, 64<<20), nil)
		content := random(t, 1000)
		id, err := write(t, store, content)
		if err != nil {
			t.Fatal(err)
		}
		url, err := store.PresignedURL(t.Context(), id, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", "bytes=10-")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() //nolint:errcheck // read to its end
		got, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(got, content[10:]) || resp.Header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("%s %s: %d bytes, %v", resp.Status, resp.Header.Get("Content-Type"), len(got), err)
		}
	})
}

func TestBadID(t *testing.T) {
	store, _ := open(t, s3test.Servers(t)[0], newBudget(t, 1<<20), nil)
	for _, id := range []data.ID{"", "x", data.ID(strings.Repeat("A", 32)), data.ID(strings.Repeat("../", 11)[:32]), data.ID(strings.Repeat("a", 34))} {
		if _, err := store.Stat(t.Context(), id); err == nil || errors.Is(err, data.ErrNotFound) {
			t.Errorf("stat %q: %v", id, err)
		}
		if err := store.Delete(t.Context(), id); err == nil {
			t.Errorf("delete %q: no error", id)
		}
	}
}
