package drills

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"holdfast/internal/collect"
	"holdfast/internal/format"
	"holdfast/internal/record"
)

// TestD06Sleeper: the replica that collects is stopped after it has condemned and before it has decided, for longer than its lease. Meanwhile
// clients push again what it was about to remove, and another replica takes the pass over. Then it wakes, with decisions that are a minute old.
func TestD06Sleeper(t *testing.T) {
	size := sizeOf(t)
	const within = time.Minute // another goes on
	perform(t, drill{
		id: "D06", grace: grace, cluster: collecting(20), load: churning(pick(size, 6, 16)), after: (*run).accounts,
		inject: func(r *run) {
			b := r.bucket(0, slog.New(slog.DiscardHandler))
			images := r.pushSigned()
			for n := range images {
				images[n].untag()
			}
			r.sleep(grace + pick(size, 3*time.Second, 30*time.Second)) // until the tags' tombstones keep them no more
			n, condemned := r.stopCollector(b)
			stopped := time.Now()
			for n := range images {
				images[n].look()
				images[n].push()
			}
			for !r.tookOver(n) && time.Since(stopped) < size.bound(within) {
				r.sleep(200 * time.Millisecond)
			}
			if took := time.Since(stopped); took > size.bound(within) {
				r.Errorf("replica %d collected and was stopped, and nobody has taken over for %s", n, took)
			} else {
				r.result.Note["taken_over_after"] = took.String()
			}
			r.sleep(pick(size, 4*time.Second, 40*time.Second))
			r.must(r.cluster.Signal(n, syscall.SIGCONT))
			r.result.Note["slept"], r.result.Note["condemned_when_stopped"] = time.Since(stopped).String(), condemned
			r.sleep(pick(size, 6*time.Second, 30*time.Second))
			for n := range images {
				images[n].isWhole()
			}
		},
		limits: underCollector(),
	})
}

// tookOver reports whether another replica than n has gone on with a pass.
func (r *run) tookOver(n int) bool {
	r.Helper()
	for i := range r.cluster.Replicas {
		if i+1 != n && strings.Contains(readFile(r.T, r.cluster.LogFile(i+1)), "a collector's pass goes on that was cut off") {
			return true
		}
	}
	return false
}

// sleepers is the repository of the images that a sleeping collector has condemned.
const sleepers = "sleeping/m"

// stopCollector has a replica begin a full pass, and stops it when it has condemned sleepers and not decided about them. It returns which replica,
// and how many are condemned.
func (r *run) stopCollector(b *bucket) (n, condemned int) {
	r.Helper()
	for range 4 {
		// The record of the lease says when the last full pass began. Without it the next one is full.
		r.must(b.values.Records.Delete(r.Context(), format.LeaseKey(collect.LeaseName), record.Always()))
		for end := time.Now().Add(time.Minute); time.Now().Before(end); r.sleep(20 * time.Millisecond) {
			found, err := b.condemned(r.Context(), sleepers)
			r.must(err)
			if n = r.holder(b); found == 0 || n == 0 {
				continue
			}
			r.must(r.cluster.Signal(n, syscall.SIGSTOP))
			r.sleep(time.Second) // what it has sent arrives
			condemned, err = b.condemned(r.Context(), sleepers)
			r.must(err)
			if condemned > 0 && r.holder(b) == n {
				return n, condemned
			}
			r.must(r.cluster.Signal(n, syscall.SIGCONT)) // it had just decided
		}
	}
	r.Fatal("no replica could be stopped between its two looks")
	return 0, 0
}

// signed is an image under a tag, and a manifest whose subject it is.
type signed struct {
	*run
	tag              string
	layer            *blob
	image, signature []byte
	there            bool // the signature, when the image came back
}

// pushSigned pushes ten of them.
func (r *run) pushSigned() (images []signed) {
	r.Helper()
	for n := range 10 {
		layer := r.newBlob(sleepers, 5000, fmt.Sprintf("sleeper %d", n))
		i := signed{run: r, tag: fmt.Sprint(n), layer: layer}
		m := v1.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
			Config: v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: layer.digest, Size: int64(len(layer.content))},
			Layers: []v1.Descriptor{},
		}
		var err error
		i.image, err = json.Marshal(m)
		r.must(err)
		m.Subject = &v1.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(i.image), Size: int64(len(i.image))}
		m.ArtifactType = "application/vnd.test.signature"
		i.signature, err = json.Marshal(m)
		r.must(err)
		i.push()
		i.put(digest.FromBytes(i.signature).String(), i.signature)
		images = append(images, i)
	}
	return images
}

// push pushes the image as if it had never been there, and not what refers to it.
func (i *signed) push() {
	i.Helper()
	if i.layer.head(i.cluster.URL) != http.StatusOK {
		if status := i.layer.push(); status != http.StatusCreated {
			i.Fatalf("the push of a layer answered %d", status)
		}
	}
	i.put(i.tag, i.image)
}

func (i *signed) put(ref string, body []byte) {
	i.Helper()
	i.until(http.MethodPut, "/manifests/"+ref, string(body), http.StatusCreated)
}

func (i *signed) untag() {
	i.Helper()
	i.until(http.MethodDelete, "/manifests/"+i.tag, "", http.StatusAccepted)
}

// look notes whether the signature is there.
func (i *signed) look() {
	i.Helper()
	for end := time.Now().Add(30 * time.Second); ; i.sleep(200 * time.Millisecond) {
		status, _, _, err := i.askAs(http.MethodGet, i.cluster.URL+"/v2/"+sleepers+"/manifests/"+digest.FromBytes(i.signature).String(), "", "")
		if i.there = status == http.StatusOK; err == nil && status < 500 {
			return
		}
		if time.Now().After(end) {
			i.Fatalf("the signature of image %s: %d (%v)", i.tag, status, err)
		}
	}
}

// isWhole checks that the image, its layer and what refers to it are there.
func (i *signed) isWhole() {
	i.Helper()
	i.until(http.MethodGet, "/manifests/"+i.tag, "", http.StatusOK)
	i.until(http.MethodGet, "/blobs/"+i.layer.digest.String(), "", http.StatusOK)
	if i.there {
		i.until(http.MethodGet, "/manifests/"+digest.FromBytes(i.signature).String(), "", http.StatusOK)
	}
}

// until makes a request again while a replica is stopped or the store is out of reach, and checks how it is answered.
func (i *signed) until(method, path, body string, want int) {
	i.Helper()
	for end := time.Now().Add(30 * time.Second); ; i.sleep(200 * time.Millisecond) {
		status, text, _, err := i.askAs(method, i.cluster.URL+"/v2/"+sleepers+path, v1.MediaTypeImageManifest, body)
		if err == nil && status == want {
			return
		}
		if err == nil && status < 500 || time.Now().After(end) {
			i.Errorf("%s %s of image %s answered %d %s, want %d (%v)", method, path, i.tag, status, text, want, err)
			return
		}
	}
}
