package fsck_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/collect/fsck"
	"holdfast/internal/data"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

// site is two stores with a clock that tests move, and the replicas over them.
type site struct {
	t        *testing.T
	clock    *clock
	records  *recordmem.Store
	data     *datamem.Store
	store    format.Store
	replicas []*registry.Local
	turn     int
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newSite(t *testing.T) *site {
	c := &clock{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	s := &site{t: t, clock: c, records: recordmem.New(recordmem.Config{Clock: c.time, PageSize: 3}), data: datamem.New(datamem.Config{Clock: c.time})}
	s.store = format.Store{Records: s.records, Ages: format.DefaultAges()}
	for range 3 {
		s.replicas = append(s.replicas, s.replica())
	}
	return s
}

func (s *site) replica() *registry.Local {
	l, err := registry.New(s.t.Context(), s.records, s.data, registry.Config{}, slog.New(slog.DiscardHandler))
	s.check(err)
	s.t.Cleanup(l.Close)
	return l
}

// next is the replica whose turn it is.
func (s *site) next() *registry.Local {
	s.turn++
	return s.replicas[s.turn%len(s.replicas)]
}

func (s *site) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) ctx() context.Context { return s.t.Context() }

// run checks the stores, without a pause.
func (s *site) run(cfg fsck.Config) *fsck.Report {
	s.t.Helper()
	cfg.Pause = -1
	r, err := fsck.Run(s.ctx(), s.store, s.data, cfg)
	s.check(err)
	return r
}

// kindsOf returns the kinds of what was found.
func kindsOf(r *fsck.Report) []fsck.Kind {
	var all []fsck.Kind
	for _, f := range r.Findings {
		all = append(all, f.Kind)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (s *site) wantKinds(what string, r *fsck.Report, want ...fsck.Kind) {
	s.t.Helper()
	slices.Sort(want)
	if got := kindsOf(r); !slices.Equal(got, want) {
		s.t.Errorf("%s: found %v, want %v", what, got, want)
		for _, f := range r.Findings {
			s.t.Logf("%s %v: %s", f.Kind, f.Keys, f.Detail)
		}
	}
}

func (s *site) blob(repo oci.Repository, content string) oci.Digest {
	s.t.Helper()
	d := digest.FromString(content)
	s.check(s.next().PushBlob(s.ctx(), repo, d, strings.NewReader(content), int64(len(content))))
	return d
}

// upload begins an upload of chunks, each at another replica.
func (s *site) upload(repo oci.Repository, chunks ...string) string {
	s.t.Helper()
	up, err := s.next().StartUpload(s.ctx(), repo, digest.SHA256)
	s.check(err)
	for _, c := range chunks {
		up, err = s.next().AppendUpload(s.ctx(), repo, up.ID, registry.Chunk{Start: -1, Size: int64(len(c)), Body: strings.NewReader(c)})
		s.check(err)
	}
	return up.ID
}

func (s *site) chunked(repo oci.Repository, chunks ...string) oci.Digest {
	s.t.Helper()
	d := digest.FromString(strings.Join(chunks, ""))
	s.check(s.next().CommitUpload(s.ctx(), repo, s.upload(repo, chunks...), d, registry.Chunk{Start: -1}))
	return d
}

func ref(mediaType string, d oci.Digest, size int) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, d, size)
}

// image is an image manifest. subject may be "".
func image(config, subject string, layers ...string) []byte {
	var more string
	if subject != "" {
		more = `,"subject":` + subject
	}
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]%s}`, oci.MediaTypeImageManifest, config, strings.Join(layers, ","), more)
}

func index(children ...string) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, oci.MediaTypeImageIndex, strings.Join(children, ","))
}

func blobRef(content string) string {
	return ref("application/x-any", digest.FromString(content), len(content))
}

func imageRef(body []byte) string {
	return ref(oci.MediaTypeImageManifest, digest.FromBytes(body), len(body))
}

func (s *site) push(repo oci.Repository, body []byte, tags ...oci.Tag) oci.Digest {
	s.t.Helper()
	p, err := s.next().PushManifest(s.ctx(), repo, registry.Push{Body: body, Tags: tags})
	s.check(err)
	return p.Digest
}

// The contents of a full site. Every repository has blobs of all of these.
const (
	config = "a config"
	layer  = "a layer of one segment"
	other  = "another layer, as lon."
	first  = "the first chunk, "
	second = "the second chunk, "
	third  = "and the last"
)

// repositories of a full site, with all that names may have.
func repositories() []oci.Repository { return []oci.Repository{"a", "a/b", "c-d/e.f__g/h"} }

// bodies of the manifests in each repository of a full site.
type bodies struct{ plain, child, index, large, signature, solo []byte }

func newBodies() bodies {
	var b bodies
	b.plain = image(blobRef(config), "", blobRef(layer), blobRef(first+second+third))
	b.child = image(blobRef(config), "", blobRef(other))
	b.index = index(imageRef(b.plain), imageRef(b.child))
	b.large = bytes.Replace(b.plain, []byte(`"layers"`), []byte(`"annotations":{"k":"`+strings.Repeat("x", 257<<10)+`"},"layers"`), 1)
	b.signature = bytes.Replace(image(blobRef(config), imageRef(b.plain)), []byte(`"layers"`), []byte(`"annotations":{"who":"me"},"layers"`), 1)
	b.solo = image(blobRef(config), "", blobRef(layer))
	return b
}

// full fills a site with everything that there is, deletes included, and returns it when no request can be under way any more.
func full(t *testing.T) (*site, bodies) {
	s, b := newSite(t), newBodies()
	for _, repo := range repositories() {
		s.fill(repo, b)
	}
	s.check(s.next().PushBlob(s.ctx(), "a", digest.SHA512.FromString(layer), strings.NewReader(layer), int64(len(layer))))
	s.clock.pass(2 * time.Hour)
	return s, b
}

func (s *site) fill(repo oci.Repository, b bodies) {
	s.t.Helper()
	for _, content := range []string{config, other, "", "deleted"} {
		s.blob(repo, content)
	}
	if repo == "a" {
		s.blob(repo, layer)
	} else {
		s.check(s.next().MountBlob(s.ctx(), repo, digest.FromString(layer), registry.Source{Repository: "a"}))
	}
	s.chunked(repo, first, second, third)
	s.push(repo, b.plain, "v1", "latest")
	s.push(repo, b.child)
	s.push(repo, b.index, "index", "latest")
	s.push(repo, b.large, "large")
	s.push(repo, b.signature)
	s.push(repo, b.solo, "solo")
	s.push(repo, b.solo, "gone")
	deleted := s.push(repo, image(blobRef(config), imageRef(b.plain), blobRef("deleted")), "deleted", "v0")
	s.push(repo, b.solo, "v0")
	s.check(errors.Join(
		s.next().DeleteTag(s.ctx(), repo, "gone"),
		s.next().DeleteManifest(s.ctx(), repo, deleted),
		s.next().DeleteBlob(s.ctx(), repo, digest.FromString("deleted")),
	))
	s.upload(repo, "unfinished ", "upload")
	s.check(s.next().CancelUpload(s.ctx(), repo, s.upload(repo, "cancelled")))
	if err := s.next().MountBlob(s.ctx(), repo, digest.FromString("nowhere"), registry.Source{Repository: "a"}); !errors.Is(err, registry.ErrNotMounted) {
		s.t.Fatal(err)
	}
}

// edit writes a value anew, changed, as no replica does.
func edit[H any, P format.HeadOf[H]](s *site, key record.Key, change func(head *H, body []byte) []byte) {
	s.t.Helper()
	v, err := format.Read[H, P](s.ctx(), s.store, key)
	s.check(err)
	body := change(&v.Head, v.Body)
	_, err = format.Write[H, P](s.ctx(), s.store, key, v, v.Head, body, false)
	s.check(err)
}

// put writes any bytes under a key.
func (s *site) put(key record.Key, value string) {
	s.t.Helper()
	cond := record.IfAbsent()
	if rec, err := s.records.Get(s.ctx(), key); err == nil {
		cond = record.IfVersion(rec.Version)
	}
	_, err := s.records.Put(s.ctx(), key, []byte(value), cond)
	s.check(err)
}

func (s *site) remove(key record.Key) {
	s.t.Helper()
	s.check(s.records.Delete(s.ctx(), key, record.Always()))
}

// segmentsOf returns what a blob's record names.
func (s *site) segmentsOf(content string) []format.Segment {
	s.t.Helper()
	rec, err := format.Read[format.Blob](s.ctx(), s.store, format.BlobKey(digest.FromString(content)))
	s.check(err)
	return rec.Head.Segments
}

// segment stores bytes that nothing names.
func (s *site) segment(content string) format.Segment {
	s.t.Helper()
	id := data.ID(format.RandomID())
	w, err := s.data.Create(s.ctx(), id)
	s.check(err)
	_, err = w.Write([]byte(content))
	s.check(err)
	_, err = w.Commit(s.ctx())
	s.check(err)
	return format.Segment{ID: id, Size: int64(len(content))}
}

// session returns the key of an upload session in a state.
func (s *site) session(state format.State) record.Key {
	s.t.Helper()
	for entry, err := range s.records.List(s.ctx(), "u/", "") {
		s.check(err)
		u, err := format.Read[format.Upload](s.ctx(), s.store, entry.Key)
		s.check(err)
		if u.Is(state) {
			return entry.Key
		}
	}
	s.t.Fatalf("no session is %s", state)
	return ""
}
