package drills

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"holdfast/internal/collect/fsck"
)

// walk is what a client finds that begins at the catalog: the account that the bucket must agree with.
type walk struct {
	*run
	target    string
	blobs     map[digest.Digest]int64 // sizes
	reads     bool                    // the bytes of blobs, too
	left      int                     // entries of referrers that are gone
	manifests map[string]bool         // repository@digest
}

// walked reads all that tags lead to, by the API alone: manifests, children, referrers; and the bytes of every blob where read says so.
func (r *run) walked(target string, read bool) *walk {
	r.Helper()
	w := &walk{run: r, target: target, blobs: make(map[digest.Digest]int64), reads: read, manifests: make(map[string]bool)}
	for _, repo := range w.pages("/v2/_catalog?n=50") {
		for _, tag := range w.pages("/v2/" + repo + "/tags/list?n=50") {
			w.manifest(repo, tag, "a tag")
		}
	}
	return w
}

// pages reads a list to its end.
func (w *walk) pages(next string) (names []string) {
	w.Helper()
	for next != "" {
		var list struct{ Repositories, Tags []string }
		header := w.fetch(next, &list)
		names = append(names, append(list.Repositories, list.Tags...)...)
		next, _, _ = strings.Cut(strings.TrimPrefix(header.Get("Link"), "<"), ">")
	}
	return names
}

// fetch reads JSON that must be there.
func (w *walk) fetch(path string, into any) http.Header {
	w.Helper()
	header, body := w.whole(path, "a list")
	w.must(json.Unmarshal(body, into))
	return header
}

// whole reads what must be there, and asks again while the store is out of reach.
func (w *walk) whole(path, why string) (http.Header, []byte) {
	w.Helper()
	for end := time.Now().Add(20 * time.Second); ; w.sleep(500 * time.Millisecond) {
		status, header, body, err := w.getAs(w.target + path)
		if err == nil && status == http.StatusOK {
			return header, body
		}
		if err == nil && status < 500 || time.Now().After(end) {
			w.Fatalf("after the load GET %s, %s, must be answered with 200, not with %d %s (%v)", path, why, status, body, err)
		}
	}
}

func (w *walk) getAs(url string) (status int, header http.Header, body []byte, err error) {
	ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, nil, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, body, err
}

// manifest reads one with all that it leads to. why says what leads to it.
func (w *walk) manifest(repo, ref, why string) {
	w.Helper()
	header, body := w.whole("/v2/"+repo+"/manifests/"+ref, why)
	d := digest.FromBytes(body)
	if header.Get("Docker-Content-Digest") != string(d) {
		w.Errorf("%s:%s has the bytes of %s and says %s", repo, ref, d, header.Get("Docker-Content-Digest"))
	}
	key := repo + "@" + string(d)
	if w.manifests[key] {
		return
	}
	w.manifests[key] = true
	var m struct {
		Config            v1.Descriptor
		Layers, Manifests []v1.Descriptor
	}
	w.must(json.Unmarshal(body, &m))
	for _, b := range append(m.Layers, m.Config) {
		if b.Digest != "" {
			w.blob(repo, b)
		}
	}
	var referrers v1.Index
	w.fetch("/v2/"+repo+"/referrers/"+string(d), &referrers)
	for _, child := range m.Manifests {
		w.manifest(repo, string(child.Digest), "a child of "+string(d))
	}
	for _, referrer := range referrers.Manifests {
		// A collector that was killed may have left the entry of a manifest that it had removed. The next pass takes it out.
		status, _, _, err := w.getAs(w.target + "/v2/" + repo + "/manifests/" + string(referrer.Digest))
		if err == nil && status == http.StatusNotFound && !w.reads {
			w.left++
			continue
		}
		w.manifest(repo, string(referrer.Digest), "a referrer of "+string(d))
	}
}

func (w *walk) blob(repo string, b v1.Descriptor) {
	w.Helper()
	w.blobs[b.Digest] = b.Size
	if !w.reads {
		return
	}
	if _, body := w.whole("/v2/"+repo+"/blobs/"+string(b.Digest), "a blob that a manifest names"); digest.FromBytes(body) != b.Digest || int64(len(body)) != b.Size {
		w.Errorf("the blob %s of %s has other bytes", b.Digest, repo)
	}
}

func (w *walk) bytes() (sum int64) {
	for _, size := range w.blobs {
		sum += size
	}
	return sum
}

// accounts checks, after the load, that a collector leaves the live bytes and no other: first what "holdfast gc" and "holdfast fsck" make of the
// bucket now, then what a collector does of it that comes so much later that every age is over. Nothing that lives goes with it.
func (r *run) accounts() {
	r.Helper()
	now := r.bucket(0, slog.New(slog.DiscardHandler))
	if r.size.full {
		r.sleep(grace)
		r.fullPass(now)
	}
	before := r.walked(r.cluster.URL, false)
	_, waiting, err := now.stored(r.Context())
	r.must(err)
	if waiting < before.bytes() {
		r.Errorf("the bucket has %d bytes of blobs, and tags lead to %d", waiting, before.bytes())
	}
	if code, out := r.command(r.Context(), "fsck", "--json"); code != 0 {
		r.Errorf("holdfast fsck ended with %d:\n%s", code, out)
	}

	began := time.Now()
	var log strings.Builder
	later := r.bucket(30*24*time.Hour, slog.New(slog.NewJSONHandler(&log, nil)))
	for pass := 1; ; pass++ {
		report, err := later.pass(r.Context())
		r.must(err)
		if total := report.Total(); total.Freed == 0 {
			r.result.Note["tombstones_left"] = total.Left
			break
		}
		if pass == 5 {
			r.Errorf("there is something to free in the fifth pass in a row: %+v", report.Counts)
			break
		}
	}
	r.result.Note["passes_took"] = time.Since(began).String()
	segments, bytes, err := later.stored(r.Context())
	r.must(err)
	after := r.walked(r.cluster.URL, true)
	if !maps.Equal(after.manifests, before.manifests) || !maps.Equal(after.blobs, before.blobs) {
		r.Errorf("tags led to %d manifests and %d blobs, and after the last passes to %d and %d",
			len(before.manifests), len(before.blobs), len(after.manifests), len(after.blobs))
	}
	if bytes != after.bytes() {
		r.Errorf("the bucket has %d bytes in %d segments, want the %d of the %d blobs that tags lead to",
			bytes, segments, after.bytes(), len(after.blobs))
	}
	report, err := now.check(r.Context())
	r.must(err)
	for _, f := range report.Findings {
		r.Errorf("fsck finds %+v", f)
	}
	// By the later clock a replica's pass that is under way has stood still for a month.
	report, err = later.check(r.Context())
	r.must(err)
	for _, f := range report.Findings {
		if f.Severity != fsck.Waste {
			r.Errorf("later, fsck finds %+v", f)
		}
	}
	// versitygw has no dependable conditional delete: tombstones stay, and a collector says so once.
	if said := strings.Count(log.String(), "no dependable conditional delete"); said != 1 || r.result.Note["tombstones_left"] == int64(0) {
		r.Errorf("the collector has left %d tombstones, and said %d times that they stay", r.result.Note["tombstones_left"], said)
	}
	r.result.Note["accounts_took"] = time.Since(began).String()
	for key, value := range map[string]any{
		"live_manifests": len(after.manifests), "live_blobs": len(after.blobs), "live_bytes": after.bytes(), "bytes_before_the_last_passes": waiting,
		"passes_of_replicas": r.passes(), "referrers_left_before": before.left,
	} {
		r.result.Note[key] = value
	}
}
