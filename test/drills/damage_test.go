package drills

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/test/cluster"
	"holdfast/test/drills/load"
	"holdfast/test/fault"
)

// TestD19Damage: bytes change on their way from the store, and at rest; an object at rest is cut. Nobody is
// given them as whole, and pushing the blob again mends it. An ordinary load goes on beside it.
func TestD19Damage(t *testing.T) {
	size := sizeOf(t)
	perform(t, drill{
		id: "D19",
		inject: func(r *run) {
			for n, bytes := range pick(size, []int64{300_000, 9 << 20}, []int64{100, 300_000, 4 << 20, 9 << 20, 40 << 20}) {
				r.onTheWay(bytes)
				if n == 0 || size.full {
					r.atRest(bytes, "cut", func(b []byte) []byte { return b[:len(b)/2] })
				}
				if n > 0 || size.full {
					r.atRest(bytes, "flipped", flip)
				}
			}
		},
		limits: limits{},
	})
}

func flip(b []byte) []byte {
	b[len(b)/2] ^= 1
	return b
}

// onTheWay has the store's answers to one blob's reads change, until the registry has refused to serve it.
func (r *run) onTheWay(bytes int64) {
	r.Helper()
	b := r.pushed(bytes, "on the way")
	files := b.files()
	if len(files) == 0 {
		r.Fatalf("%d bytes: the store keeps no such object", bytes)
	}
	match := func(c fault.Call) bool { // a file's path ends with the object's
		return c.Op == "GetObject" && slices.ContainsFunc(files, func(f string) bool { return strings.HasSuffix(f, c.Path) })
	}
	r.everywhere(fault.Rule{Fault: fault.FlipByte(), Match: match})
	b.refused("a byte flipped on the way")
	r.everywhere()
	b.mends("a byte flipped on the way")
}

// atRest changes a blob's bytes where the store keeps them.
func (r *run) atRest(bytes int64, what string, change func([]byte) []byte) {
	r.Helper()
	b := r.pushed(bytes, what)
	files := b.files()
	if len(files) == 0 {
		r.Fatalf("%d bytes, %s: the store keeps no such object", bytes, what)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		r.must(err)
		r.must(os.WriteFile(file, change(text), 0o600))
	}
	b.refused(what + " at rest")
	b.mends(what + " at rest")
}

// blob is one blob of the drill, which the load knows nothing of.
type blob struct {
	*run
	repo    string
	content []byte
	digest  digest.Digest
}

func (r *run) pushed(bytes int64, what string) *blob {
	r.Helper()
	b := r.newBlob("damaged/m", bytes, what)
	if status := b.push(); status != http.StatusCreated {
		r.Fatalf("%d bytes, %s: the push answered %d", bytes, what, status)
	}
	return b
}

// newBlob makes a blob, and does not push it.
func (r *run) newBlob(repo string, bytes int64, what string) *blob {
	r.Helper()
	b := &blob{run: r, repo: repo}
	b.content = make([]byte, bytes)
	random := rand.NewChaCha8([32]byte{byte(r.seed)})
	_, _ = random.Read(b.content)
	copy(b.content, fmt.Sprintf("%d bytes, %s, %d", bytes, what, r.seed))
	b.digest = digest.FromBytes(b.content)
	return b
}

// files are the objects in which the store keeps bytes of this blob.
func (b *blob) files() (paths []string) {
	root := filepath.Join(b.cluster.S3Folder(), b.cluster.Bucket)
	head := string(b.content[:min(len(b.content), 64)])
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.Contains(path, "/holdfast/d/") {
			return nil // an object that goes while we look, or no data
		}
		if info, err := entry.Info(); err != nil || info.Size() != int64(len(b.content)) {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return nil
		}
		defer f.Close() //nolint:errcheck // read only
		begin := make([]byte, len(head))
		if _, err := io.ReadFull(f, begin); err == nil && string(begin) == head {
			paths = append(paths, path)
		}
		return nil
	})
	b.must(err)
	return paths
}

// refused checks that no replica serves the blob as whole, and that a client is told to push it again.
func (b *blob) refused(why string) {
	b.Helper()
	for n, replica := range b.cluster.Replicas {
		if status, body, err := b.get(replica); err == nil && status == http.StatusOK {
			b.Errorf("%d bytes, %s: replica %d served %d bytes as whole, right: %t", len(b.content), why, n+1, len(body), digest.FromBytes(body) == b.digest)
		} else if err == nil && status != http.StatusServiceUnavailable {
			b.Errorf("%d bytes, %s: replica %d answered %d, want 503 or a broken transfer", len(b.content), why, n+1, status)
		}
	}
}

// mends checks that pushing the blob again brings it back everywhere.
func (b *blob) mends(why string) {
	b.Helper()
	for _, replica := range b.cluster.Replicas {
		if status := b.head(replica); status != http.StatusNotFound {
			b.Errorf("%d bytes, %s: HEAD answers %d, want 404, so that clients push it", len(b.content), why, status)
		}
	}
	if status := b.push(); status != http.StatusCreated {
		b.Errorf("%d bytes, %s: pushing again answered %d", len(b.content), why, status)
	}
	for n, replica := range b.cluster.Replicas {
		status, body, err := b.get(replica)
		if err != nil || status != http.StatusOK || digest.FromBytes(body) != b.digest {
			b.Errorf("%d bytes, %s: after the push, replica %d answers %d with %d bytes (%v)", len(b.content), why, n+1, status, len(body), err)
		}
	}
}

func (b *blob) push() int {
	b.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		status, _, location, err := b.ask(http.MethodPost, b.cluster.URL+"/v2/"+b.repo+"/blobs/uploads/", "")
		b.must(err)
		if status == http.StatusAccepted {
			status, _, _, err = b.ask(http.MethodPut, b.cluster.URL+location+"?digest="+string(b.digest), string(b.content))
			b.must(err)
		}
		if status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			return status
		}
	}
}

func (b *blob) get(replica string) (int, []byte, error) {
	status, body, _, err := b.ask(http.MethodGet, replica+"/v2/"+b.repo+"/blobs/"+string(b.digest), "")
	return status, body, err
}

func (b *blob) head(replica string) int {
	status, _, _, err := b.ask(http.MethodHead, replica+"/v2/"+b.repo+"/blobs/"+string(b.digest), "")
	b.must(err)
	return status
}

func (r *run) ask(method, url, body string) (status int, text []byte, location string, err error) {
	return r.askAs(method, url, "", body)
}

func (r *run) askAs(method, url, contentType, body string) (status int, text []byte, location string, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	text, err = io.ReadAll(resp.Body)
	return resp.StatusCode, text, resp.Header.Get("Location"), err
}

// TestD11DiskFull: the disk of a registry without S3 is full. Pushes are refused, reads go on, and what was
// acknowledged stays.
func TestD11DiskFull(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	size := sizeOf(t)
	disk := t.TempDir()
	mountSmall(t, disk, pick(size, 48<<20, 512<<20))
	ballast := filepath.Join(disk, "ballast")
	perform(t, drill{
		id: "D11", hold: pick(size, 3*time.Second, 20*time.Second),
		load: func(o *load.Options) { // slow enough not to fill the disk by itself
			o.Large, o.Think = 256<<10, pick(size, o.Think, 60*time.Millisecond)
		},
		cluster: func(o *cluster.Options) {
			o.Store, o.Replicas = cluster.Local, 1
			edit := o.Edit
			o.Edit = func(cfg map[string]any) {
				edit(cfg)
				cfg["storage"].(map[string]any)["rootDirectory"] = filepath.Join(disk, "registry")
			}
		},
		inject: func(r *run) {
			f, err := os.Create(ballast)
			r.must(err)
			_, err = io.Copy(f, rand.NewChaCha8([32]byte{}))
			if !strings.Contains(fmt.Sprint(err), "no space") {
				r.Fatal("the disk did not get full:", err)
			}
			r.must(f.Close())
		},
		heal: func(r *run) { r.must(os.Remove(ballast)) },
		// Reads go on: only writes fail.
		limits: limits{failed: []string{"503"}, givenUp: true, answer: time.Second, recovery: time.Second},
	})
}
