package server

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
)

// discard is an answer that nobody reads.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// BenchmarkHandler is what requests cost from the edge to a store in memory and back, without net/http and the network: allocs/op are ours.
func BenchmarkHandler(b *testing.B) {
	h := inMemory(b, Storage{})
	h.s.log = slog.New(slog.DiscardHandler)
	if err := h.s.openEdge(b.Context()); err != nil {
		b.Fatal(err)
	}
	serve := h.s.handler(nil)
	h.image("pub/app", "v1", "layer")
	layer := string(digest.FromString("layer"))
	manifest, err := h.registry().Resolve(b.Context(), "pub/app", oci.Reference{Tag: "v1"})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ name, method, path string }{
		{"ManifestByTag", http.MethodGet, "/v2/pub/app/manifests/v1"},
		{"ManifestByDigest", http.MethodGet, "/v2/pub/app/manifests/" + string(manifest.Digest)},
		{"ManifestHead", http.MethodHead, "/v2/pub/app/manifests/v1"},
		{"BlobHead", http.MethodHead, "/v2/pub/app/blobs/" + layer},
		{"BlobGet", http.MethodGet, "/v2/pub/app/blobs/" + layer},
		{"Tags", http.MethodGet, "/v2/pub/app/tags/list"},
		{"Catalog", http.MethodGet, "/v2/_catalog"},
		{"Mount", http.MethodPost, "/v2/pub/app/blobs/uploads/?mount=" + layer + "&from=pub/app"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			u, err := url.Parse(c.path)
			if err != nil {
				b.Fatal(err)
			}
			r := httptest.NewRequestWithContext(b.Context(), c.method, c.path, http.NoBody)
			r.Header.Set("User-Agent", "containerd/2.0")
			r.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
			w := &discard{header: http.Header{}}
			for b.Loop() {
				clear(w.header)
				r.URL = u
				serve.ServeHTTP(w, r)
				if w.status/100 != 2 {
					b.Fatal(w.status)
				}
			}
		})
	}
}
