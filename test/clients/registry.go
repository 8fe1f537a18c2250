package clients

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"holdfast/test/cluster"
	"holdfast/test/cluster/clustertest"
)

// A Registry is what the clients talk to, and what is behind it.
type Registry struct {
	Host     string   // "127.0.0.1:8080", HAProxy's
	Replicas []string // base URLs

	run string // makes the repositories of one run its own
}

// Repo returns the name of a repository that only this run uses.
func (r Registry) Repo(name string) string { return "run-" + r.run + "/" + name }

// Start runs three replicas behind HAProxy over an S3 server, one of
// HOLDFAST_TEST_S3 if there is one. With HOLDFAST_TEST_REGISTRY set to a host and
// port it takes what runs there instead.
func Start(t *testing.T) Registry {
	t.Helper()
	run := strings.ToLower(rand.Text()[:8])
	if host := os.Getenv("HOLDFAST_TEST_REGISTRY"); host != "" {
		return Registry{Host: host, Replicas: []string{"http://" + host}, run: run}
	}
	c := clustertest.Start(t, cluster.Options{})
	return Registry{Host: strings.TrimPrefix(c.URL, "http://"), Replicas: c.Replicas, run: run}
}

// Holds checks that every replica has repo's reference as want, with everything
// that it refers to, byte for byte.
func (r Registry) Holds(t *testing.T, repo, reference string, want digest.Digest) {
	t.Helper()
	for _, replica := range r.Replicas {
		base := replica + "/v2/" + repo
		body := get(t, base+"/manifests/"+reference, want)
		r.complete(t, base, body)
	}
}

// complete reads everything that a manifest or an index refers to.
func (r Registry) complete(t *testing.T, base string, body []byte) {
	t.Helper()
	m := referencesOf(t, body)
	if m.Config != nil {
		get(t, base+"/blobs/"+m.Config.Digest.String(), m.Config.Digest)
	}
	for _, d := range m.Layers {
		if got := get(t, base+"/blobs/"+d.Digest.String(), d.Digest); int64(len(got)) != d.Size {
			t.Errorf("%s has %d bytes, want %d", d.Digest, len(got), d.Size)
		}
	}
	for _, d := range m.Manifests {
		r.complete(t, base, get(t, base+"/manifests/"+d.Digest.String(), d.Digest))
	}
}

type references struct {
	Config    *v1.Descriptor
	Layers    []v1.Descriptor
	Manifests []v1.Descriptor
}

// referencesOf reads what a manifest or an index refers to.
func referencesOf(t *testing.T, body []byte) references {
	t.Helper()
	var m references
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// Gone checks that no replica has repo's reference.
func (r Registry) Gone(t *testing.T, repo, reference string) {
	t.Helper()
	for _, replica := range r.Replicas {
		if status, _ := fetch(t, replica+"/v2/"+repo+"/manifests/"+reference); status != http.StatusNotFound {
			t.Errorf("%s: %s:%s is answered by %d, want 404", replica, repo, reference, status)
		}
	}
}

// get reads url and checks that the bytes are want's.
func get(t *testing.T, url string, want digest.Digest) []byte {
	t.Helper()
	status, body := fetch(t, url)
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d: %s", url, status, body)
	}
	if got := digest.FromBytes(body); got != want {
		t.Fatalf("GET %s: the bytes are %s, want %s", url, got, want)
	}
	return body
}

func fetch(t *testing.T, url string) (status int, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// Pulled checks that an OCI layout that a client wrote holds want and everything below it.
func Pulled(t *testing.T, dir string, want digest.Digest) {
	t.Helper()
	body := blobFile(t, dir, want)
	m := referencesOf(t, body)
	if m.Config != nil {
		blobFile(t, dir, m.Config.Digest)
	}
	for _, d := range m.Layers {
		blobFile(t, dir, d.Digest)
	}
	for _, d := range m.Manifests {
		Pulled(t, dir, d.Digest)
	}
}

func blobFile(t *testing.T, dir string, want digest.Digest) []byte {
	t.Helper()
	body, err := os.ReadFile(dir + "/blobs/" + want.Algorithm().String() + "/" + want.Encoded())
	if err != nil {
		t.Fatal(err)
	}
	if got := digest.FromBytes(body); got != want {
		t.Fatalf("%s: the bytes of %s are %s", dir, want, got)
	}
	return body
}
