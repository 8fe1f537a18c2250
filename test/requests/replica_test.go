package requests

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/api"
	datas3 "holdfast/internal/data/s3"
	"holdfast/internal/observe/request"
	"holdfast/internal/record"
	records3 "holdfast/internal/record/s3"
	"holdfast/internal/registry"
	"holdfast/internal/s3"
	"holdfast/internal/s3/s3test"
)

// counter counts the requests that reach the store, retries included.
type counter struct {
	base http.RoundTripper

	mu   sync.Mutex
	seen []string
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.seen = append(c.seen, r.Method+" "+r.URL.RequestURI())
	c.mu.Unlock()
	return c.base.RoundTrip(r)
}

func (c *counter) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

// cluster is a bucket; replica starts one more process over it, as far as the store can tell.
type cluster struct {
	t       *testing.T
	client  *s3.Client
	counter *counter
	records func(record.Store) record.Store // what replicas put before their records; nil: nothing
}

func newCluster(t *testing.T, server s3test.Server) *cluster {
	c := &cluster{t: t, counter: &counter{}}
	c.client = server.Client(t, func(cfg *s3.Config) {
		cfg.Transport = func(base http.RoundTripper) http.RoundTripper {
			c.counter.base = base
			return c.counter
		}
	})
	return c
}

type replica struct {
	*cluster
	local *registry.Local
	url   string
}

// replica starts a replica whose store clock is ahead by shift.
func (c *cluster) replica(shift time.Duration) *replica {
	c.t.Helper()
	budget, err := datas3.NewBudget(0)
	if err != nil {
		c.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	var records record.Store = records3.New(c.client, "")
	if c.records != nil {
		records = c.records(records)
	}
	segments := datas3.New(c.client, "", budget)
	local, err := registry.New(c.t.Context(), later{records, shift}, segments, registry.Config{Pulls: segments.Clients(), OpenEarly: true}, log)
	if err != nil {
		c.t.Fatal(err)
	}
	srv := httptest.NewServer(request.Handler(api.New(local, api.Config{Progress: 30 * time.Second}), request.Config{Route: api.RouteOf}, log))
	c.t.Cleanup(func() {
		srv.Close()
		local.Close()
		if err := budget.Close(); err != nil {
			c.t.Error(err)
		}
	})
	return &replica{cluster: c, local: local, url: srv.URL}
}

// later is a store seen at a later time, so that what was just written is old.
type later struct {
	record.Store
	by time.Duration
}

func (l later) Now() time.Time { return l.Store.Now().Add(l.by) }

// do makes a request and fails the test unless the answer has the status.
func (r *replica) do(method, path string, header http.Header, body []byte, want int) *http.Response {
	r.t.Helper()
	target := path
	if path[0] == '/' {
		target = r.url + path
	}
	req, err := http.NewRequestWithContext(context.Background(), method, target, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	if err := resp.Body.Close(); err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode != want {
		r.t.Fatalf("%s %s: status %d, want %d: %s", method, path, resp.StatusCode, want, answer)
	}
	return resp
}

// blob is random content of a size.
func blob(size int) []byte {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}

func (r *replica) pushBlob(repo string, content []byte) digest.Digest {
	r.t.Helper()
	d := digest.FromBytes(content)
	r.do("POST", "/v2/"+repo+"/blobs/uploads/?digest="+string(d), nil, content, 201)
	return d
}

// dockerPush pushes a blob as docker does: HEAD, POST, PATCH, PUT.
func (r *replica) dockerPush(repo string, content []byte) {
	r.t.Helper()
	d := digest.FromBytes(content)
	r.do("HEAD", "/v2/"+repo+"/blobs/"+string(d), nil, nil, 404)
	at := r.do("POST", "/v2/"+repo+"/blobs/uploads/", nil, nil, 202).Header.Get("Location")
	at = r.do("PATCH", at, nil, content, 202).Header.Get("Location")
	r.do("PUT", at+"?digest="+string(d), nil, nil, 201)
}

// image makes a manifest with n references, config included, whose blobs are pushed, and returns it.
func (r *replica) image(repo string, n int, subject string) []byte {
	r.t.Helper()
	var refs []string
	for range n {
		content := blob(64)
		refs = append(refs, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}`, r.pushBlob(repo, content), len(content)))
	}
	layers := bytes.Join([][]byte{}, nil)
	for i, ref := range refs[1:] {
		if i > 0 {
			layers = append(layers, ',')
		}
		layers = append(layers, ref...)
	}
	if subject != "" {
		subject = fmt.Sprintf(`,"subject":{"mediaType":%q,"digest":%q,"size":2}`, manifestType, subject)
	}
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]%s}`, manifestType, refs[0], layers, subject)
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

var manifestHeader = http.Header{"Content-Type": {manifestType}}

func (r *replica) pushManifest(repo, ref string, manifest []byte) {
	r.t.Helper()
	r.do("PUT", "/v2/"+repo+"/manifests/"+ref, manifestHeader, manifest, 201)
}
