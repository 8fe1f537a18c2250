package requests

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/s3/s3test"
)

const mib = 1 << 20

// row is an operation: setup may make any number of requests, and what it returns is counted.
type row struct {
	name  string
	setup func(r *replica, repo string) (operation func())
	want  int // requests before the answer
	after int // requests that the answer does not wait for
}

const refs = 3 // references of the manifests below: L

var rows = []row{
	{"HEAD blob, absent", func(r *replica, repo string) func() {
		return func() { r.do("HEAD", "/v2/"+repo+"/blobs/"+string(digest.FromBytes(blob(8))), nil, nil, 404) }
	}, 1, 0},
	{"HEAD blob, present", func(r *replica, repo string) func() {
		d := r.pushBlob(repo, blob(100))
		return func() { r.do("HEAD", "/v2/"+repo+"/blobs/"+string(d), nil, nil, 200) }
	}, 1, 0},
	{"HEAD blob, link older than half the grace", func(r *replica, repo string) func() {
		d := r.pushBlob(repo, blob(100))
		old := r.replica(13 * time.Hour)
		return func() { old.do("HEAD", "/v2/"+repo+"/blobs/"+string(d), nil, nil, 200) }
	}, 2, 0},
	{"GET blob", func(r *replica, repo string) func() {
		d := r.pushBlob(repo, blob(mib))
		return func() { r.do("GET", "/v2/"+repo+"/blobs/"+string(d), nil, nil, 200) }
	}, 2, 0},
	{"GET blob, again", func(r *replica, repo string) func() {
		d := r.pushBlob(repo, blob(mib))
		r.do("GET", "/v2/"+repo+"/blobs/"+string(d), nil, nil, 200)
		return func() { r.do("GET", "/v2/"+repo+"/blobs/"+string(d), nil, nil, 200) }
	}, 1, 0},
	{"GET blob, a range of one that was read whole", func(r *replica, repo string) func() {
		d := r.pushBlob(repo, blob(mib))
		r.do("GET", "/v2/"+repo+"/blobs/"+string(d), nil, nil, 200)
		return func() {
			r.do("GET", "/v2/"+repo+"/blobs/"+string(d), http.Header{"Range": {"bytes=5-500"}}, nil, 206)
		}
	}, 1, 0},
	{"GET blob that was read whole, from a repository without it", func(r *replica, repo string) func() {
		d := r.pushBlob(repo, blob(mib))
		r.do("GET", "/v2/"+repo+"/blobs/"+string(d), nil, nil, 200)
		return func() { r.do("GET", "/v2/"+repo+"/other/blobs/"+string(d), nil, nil, 404) }
	}, 1, 0},
	{"GET blob that was read whole, deleted by another replica", func(r *replica, repo string) func() {
		d := r.pushBlob(repo, blob(mib))
		r.do("GET", "/v2/"+repo+"/blobs/"+string(d), nil, nil, 200)
		r.replica(0).do("DELETE", "/v2/"+repo+"/blobs/"+string(d), nil, nil, 202)
		return func() { r.do("GET", "/v2/"+repo+"/blobs/"+string(d), nil, nil, 404) }
	}, 1, 0},
	{"GET blob, 20 MiB", func(r *replica, repo string) func() {
		d := r.pushBlob(repo, blob(20*mib))
		return func() { r.do("GET", "/v2/"+repo+"/blobs/"+string(d), nil, nil, 200) }
	}, 1 + 3, 0},
	{"GET blob, a range", func(r *replica, repo string) func() {
		d := r.pushBlob(repo, blob(mib))
		return func() {
			r.do("GET", "/v2/"+repo+"/blobs/"+string(d), http.Header{"Range": {"bytes=5-500"}}, nil, 206)
		}
	}, 2, 0},
	{"POST upload", func(r *replica, repo string) func() {
		return func() { r.do("POST", "/v2/"+repo+"/blobs/uploads/", nil, nil, 202) }
	}, 0, 0},
	{"push blob, HEAD POST PATCH PUT, 1 KiB", func(r *replica, repo string) func() {
		content := blob(1024)
		return func() { r.dockerPush(repo, content) }
	}, 7, 0},
	{"push blob, HEAD POST PATCH PUT, one whole part", func(r *replica, repo string) func() {
		content := blob(8 * mib)
		return func() { r.dockerPush(repo, content) }
	}, 7, 0},
	{"push blob, HEAD POST PATCH PUT, 100 MiB: 13 parts and", func(r *replica, repo string) func() {
		content := blob(100 * mib)
		return func() { r.dockerPush(repo, content) }
	}, 13 + 8, 0},
	{"push blob that another repository has", func(r *replica, repo string) func() {
		content := blob(1024)
		r.pushBlob(repo+"/other", content)
		return func() { r.dockerPush(repo, content) }
	}, 8, 0},
	{"push blob, single POST", func(r *replica, repo string) func() {
		content := blob(1024)
		return func() { r.pushBlob(repo, content) }
	}, 4, 0},
	{"push blob, POST and PUT", func(r *replica, repo string) func() {
		content := blob(1024)
		return func() {
			at := r.do("POST", "/v2/"+repo+"/blobs/uploads/", nil, nil, 202).Header.Get("Location")
			r.do("PUT", at+"?digest="+string(digest.FromBytes(content)), nil, content, 201)
		}
	}, 6, 0},
	{"PATCH, a second chunk", func(r *replica, repo string) func() {
		at := r.do("POST", "/v2/"+repo+"/blobs/uploads/", nil, nil, 202).Header.Get("Location")
		at = r.do("PATCH", at, nil, blob(1000), 202).Header.Get("Location")
		return func() { r.do("PATCH", at, nil, blob(1000), 202) }
	}, 3, 0},
	{"mount", func(r *replica, repo string) func() {
		d := r.pushBlob(repo+"/from", blob(100))
		return func() {
			r.do("POST", "/v2/"+repo+"/blobs/uploads/?mount="+string(d)+"&from="+repo+"/from", nil, nil, 201)
		}
	}, 4, 0},
	{"mount without from", func(r *replica, repo string) func() {
		d := r.pushBlob(repo+"/from", blob(100))
		return func() { r.do("POST", "/v2/"+repo+"/blobs/uploads/?mount="+string(d), nil, nil, 201) }
	}, 6, 0},
	{"PUT manifest, new tag", func(r *replica, repo string) func() {
		r.pushManifest(repo, "first", r.image(repo, refs, ""))
		m := r.image(repo, refs, "")
		return func() { r.pushManifest(repo, "second", m) }
	}, refs + 6, 0},
	{"PUT manifest, new tag, 50 tags there", func(r *replica, repo string) func() {
		m := r.image(repo, refs, "")
		for i := range 50 {
			r.pushManifest(repo, fmt.Sprintf("v%d", i), m)
		}
		m = r.image(repo, refs, "")
		return func() { r.pushManifest(repo, "new", m) }
	}, refs + 6, 0},
	{"PUT manifest, new tag, replica just started", func(r *replica, repo string) func() {
		r.pushManifest(repo, "first", r.image(repo, refs, ""))
		m := r.image(repo, refs, "")
		cold := r.replica(0)
		return func() { cold.pushManifest(repo, "second", m) }
	}, refs + 7 + 1, 0},
	{"PUT manifest, the first of a repository", func(r *replica, repo string) func() {
		m := r.image(repo, refs, "")
		return func() { r.pushManifest(repo, "first", m) }
	}, refs + 7 + 2, 0},
	{"PUT manifest with a subject", func(r *replica, repo string) func() {
		first := r.image(repo, refs, "")
		r.pushManifest(repo, "first", first)
		m := r.image(repo, refs, string(digest.FromBytes(first)))
		return func() { r.pushManifest(repo, "second", m) }
	}, refs + 6 + 2, 0},
	{"PUT manifest, the same again", func(r *replica, repo string) func() {
		m := r.image(repo, refs, "")
		r.pushManifest(repo, "first", m)
		return func() { r.pushManifest(repo, "first", m) }
	}, refs + 6 + 2, 0}, // the marker and the manifest are there: two looks
	{"GET manifest by tag", func(r *replica, repo string) func() {
		r.pushManifest(repo, "first", r.image(repo, refs, ""))
		return func() { r.do("GET", "/v2/"+repo+"/manifests/first", nil, nil, 200) }
	}, 1, 0},
	{"HEAD manifest by tag", func(r *replica, repo string) func() {
		r.pushManifest(repo, "first", r.image(repo, refs, ""))
		return func() { r.do("HEAD", "/v2/"+repo+"/manifests/first", nil, nil, 200) }
	}, 1, 0},
	{"GET manifest by digest", func(r *replica, repo string) func() {
		m := r.image(repo, refs, "")
		r.pushManifest(repo, "first", m)
		return func() { r.do("GET", "/v2/"+repo+"/manifests/"+string(digest.FromBytes(m)), nil, nil, 200) }
	}, 1, 0},
	{"GET manifest by tag, above 256 KiB", func(r *replica, repo string) func() {
		m := r.image(repo, refs, "")
		m = append(m[:len(m)-1], `,"annotations":{"pad":"`+strings.Repeat("x", 300<<10)+`"}}`...)
		r.pushManifest(repo, "first", m)
		return func() { r.do("GET", "/v2/"+repo+"/manifests/first", nil, nil, 200) }
	}, 2, 0},
	{"DELETE tag", func(r *replica, repo string) func() {
		r.pushManifest(repo, "first", r.image(repo, refs, ""))
		return func() { r.do("DELETE", "/v2/"+repo+"/manifests/first", nil, nil, 202) }
	}, 2, 0},
	{"DELETE manifest with three tags", func(r *replica, repo string) func() {
		m := r.image(repo, refs, "")
		for i := range 3 {
			r.pushManifest(repo, fmt.Sprintf("v%d", i), m)
		}
		return func() { r.do("DELETE", "/v2/"+repo+"/manifests/"+string(digest.FromBytes(m)), nil, nil, 202) }
	}, 1 + 2*3 + 4, 0},
	{"DELETE blob, one manifest in the repository", func(r *replica, repo string) func() {
		r.pushManifest(repo, "first", r.image(repo, refs, ""))
		d := r.pushBlob(repo, blob(64))
		return func() { r.do("DELETE", "/v2/"+repo+"/blobs/"+string(d), nil, nil, 202) }
	}, 8, 0},
	{"tags list", func(r *replica, repo string) func() {
		m := r.image(repo, refs, "")
		for i := range 20 {
			r.pushManifest(repo, fmt.Sprintf("v%d", i), m)
		}
		return func() { r.do("GET", "/v2/"+repo+"/tags/list", nil, nil, 200) }
	}, 1, 0},
	{"tags list, no tag", func(r *replica, repo string) func() {
		r.pushManifest(repo, "first", r.image(repo, refs, ""))
		r.do("DELETE", "/v2/"+repo+"/manifests/first", nil, nil, 202)
		return func() { r.do("GET", "/v2/"+repo+"/tags/list", nil, nil, 200) }
	}, 2, 0},
	{"catalog", func(r *replica, repo string) func() {
		r.pushManifest(repo, "first", r.image(repo, refs, ""))
		return func() { r.do("GET", "/v2/_catalog", nil, nil, 200) }
	}, 1, 0},
	{"referrers", func(r *replica, repo string) func() {
		m := r.image(repo, refs, "")
		r.pushManifest(repo, "first", m)
		for range 3 {
			r.pushManifest(repo, "sig", r.image(repo, 1, string(digest.FromBytes(m))))
		}
		return func() { r.do("GET", "/v2/"+repo+"/referrers/"+string(digest.FromBytes(m)), nil, nil, 200) }
	}, 1, 0},
	{"start of a replica", func(r *replica, _ string) func() {
		return func() { r.replica(0) }
	}, 2, 0},
}

func TestRequestsPerOperation(t *testing.T) {
	server := s3test.Servers(t)[0]
	for i, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c := newCluster(t, server)
			r := c.replica(0)
			operation := row.setup(r, fmt.Sprintf("count/r%d", i))
			r.local.Close()
			c.counter.take()
			operation()
			r.local.Close() // waits for what goes on after the answer
			got := c.counter.take()
			if len(got) != row.want+row.after {
				t.Errorf("%d requests, want %d before the answer and %d after it:\n%s", len(got), row.want, row.after, strings.Join(got, "\n"))
			}
		})
	}
}
