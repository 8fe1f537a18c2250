package scrub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/collect/scrub"
	"holdfast/internal/data"
	"holdfast/internal/data/file"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

// world is what the replicas of one test share.
type world struct {
	t       *testing.T
	records record.Store
	data    *watched
	dir     string // of the file driver; "" for mem
	ages    format.Ages
	log     lines
	local   *registry.Local
	cfg     scrub.Config
	counts  scrub.Counters
}

// each runs a test over both data drivers, with the bubble's time.
func each(t *testing.T, test func(*world)) {
	for _, driver := range []string{"mem", "file"} {
		t.Run(driver, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(newWorld(t, driver == "file")) })
		})
	}
}

// run runs a test over the mem drivers.
func run(t *testing.T, name string, test func(*world)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(newWorld(t, false)) })
	})
}

func newWorld(t *testing.T, onDisk bool) *world {
	t.Helper()
	w := &world{t: t, records: recordmem.New(recordmem.Config{PageSize: 3}), ages: format.DefaultAges()}
	w.cfg = scrub.Config{Holder: "replica"}
	w.data = &watched{Store: datamem.New(datamem.Config{MaxBytes: 1000}), opened: map[data.ID]int{}, spoiled: map[data.ID]string{}}
	if onDisk {
		w.dir = filepath.Join(t.TempDir(), "data")
		store, err := file.Open(t.Context(), file.Config{Dir: w.dir})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		w.data.Store = store
	}
	w.local = w.open(w.records)
	return w
}

func (w *world) open(records record.Store) *registry.Local {
	w.t.Helper()
	l, err := registry.New(w.t.Context(), records, w.data.Store, registry.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(l.Close)
	return l
}

func (w *world) deps() scrub.Deps {
	return scrub.Deps{
		Records: format.Store{Records: w.records, Ages: w.ages}, Data: w.data, Registry: w.local,
		Log: slog.New(slog.NewJSONHandler(&w.log, nil)), Counters: &w.counts,
	}
}

// scrub makes a round that ends.
func (w *world) scrub() *scrub.Report {
	w.t.Helper()
	report, err := scrub.Run(w.t.Context(), w.deps(), w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	if report.Ended.IsZero() || report.Started.IsZero() || report.DamagedTotal != int64(len(report.Damaged)) {
		w.t.Errorf("the report of a round that ended: %+v", report)
	}
	return report
}

// whole makes a round that finds nothing.
func (w *world) whole() *scrub.Report {
	w.t.Helper()
	report := w.scrub()
	if len(report.Damaged) > 0 || report.Skipped > 0 {
		w.t.Errorf("damaged %+v, skipped %d, want nothing", report.Damaged, report.Skipped)
	}
	return report
}

func (w *world) push(repo oci.Repository, content string) oci.Digest {
	w.t.Helper()
	d := digest.FromString(content)
	if err := w.local.PushBlob(w.t.Context(), repo, d, strings.NewReader(content), int64(len(content))); err != nil {
		w.t.Fatal(err)
	}
	return d
}

// image pushes an image of one layer, whose config names it, and sets tags to it.
func (w *world) image(repo oci.Repository, layer string, tags ...oci.Tag) oci.Digest {
	w.t.Helper()
	config := fmt.Sprintf("config of %s %v", repo, tags)
	c, l := w.push(repo, config), w.push(repo, layer)
	return w.manifest(repo, fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"a/b","digest":%q,"size":%d},"layers":[{"mediaType":"a/b","digest":%q,"size":%d}]}`,
		c, len(config), l, len(layer)), tags...)
}

// index pushes an index over one manifest.
func (w *world) index(repo oci.Repository, child oci.Digest, mediaType string, tags ...oci.Tag) oci.Digest {
	w.t.Helper()
	m, err := w.local.Resolve(w.t.Context(), repo, oci.Reference{Digest: child})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.manifest(repo, fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, mediaType, child, len(m.Body)), tags...)
}

func (w *world) manifest(repo oci.Repository, body string, tags ...oci.Tag) oci.Digest {
	w.t.Helper()
	p, err := w.local.PushManifest(w.t.Context(), repo, registry.Push{Body: []byte(body), Tags: tags})
	if err != nil {
		w.t.Fatal(err)
	}
	return p.Digest
}

func (w *world) record(d oci.Digest) format.Stored[format.Blob] {
	w.t.Helper()
	rec, err := format.Read[format.Blob](w.t.Context(), w.deps().Records, format.BlobKey(d))
	if err != nil {
		w.t.Fatal(err)
	}
	return rec
}

func (w *world) segment(d oci.Digest) data.ID {
	w.t.Helper()
	rec := w.record(d)
	if len(rec.Head.Segments) != 1 {
		w.t.Fatalf("%s has %d segments", d, len(rec.Head.Segments))
	}
	return rec.Head.Segments[0].ID
}

// Ways to damage a segment at rest.
const (
	flip = "flip"
	cut  = "cut"
	lose = "lose"
)

// damage damages a segment: its file, or what the mem driver gives of it.
func (w *world) damage(id data.ID, how string) {
	w.t.Helper()
	var err error
	switch {
	case how == lose:
		err = w.data.Delete(w.t.Context(), id)
	case w.dir == "":
		w.data.mu.Lock()
		w.data.spoiled[id] = how
		w.data.mu.Unlock()
	default:
		name := filepath.Join(w.dir, string(id[:2]), string(id))
		var content []byte
		if content, err = os.ReadFile(name); err == nil {
			content[len(content)/2] ^= 1
			if how == cut {
				content = content[:len(content)/2]
			}
			err = os.WriteFile(name, content, 0o600)
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// wantGone checks that clients are told to push a blob again.
func (w *world) wantGone(d oci.Digest, repos ...oci.Repository) {
	w.t.Helper()
	for _, repo := range repos {
		if _, err := w.local.Blob(w.t.Context(), repo, d); !errors.Is(err, oci.ErrUnavailable) {
			w.t.Errorf("GET in %s: %v, want UNAVAILABLE", repo, err)
		}
		if _, err := w.local.StatBlob(w.t.Context(), repo, d); !errors.Is(err, oci.ErrBlobUnknown) {
			w.t.Errorf("HEAD in %s: %v, want BLOB_UNKNOWN", repo, err)
		}
	}
}

func (w *world) wantThere(d oci.Digest, repos ...oci.Repository) {
	w.t.Helper()
	for _, repo := range repos {
		blob, err := w.local.StatBlob(w.t.Context(), repo, d)
		if err != nil {
			w.t.Errorf("HEAD in %s: %v", repo, err)
			continue
		}
		r, err := blob.Bytes.Open(w.t.Context(), 0, blob.Size)
		if err == nil {
			var content []byte
			content, err = io.ReadAll(r)
			if err = errors.Join(err, r.Close()); err == nil && digest.FromBytes(content) != d {
				err = errors.New("other bytes")
			}
		}
		if err != nil {
			w.t.Errorf("GET in %s: %v", repo, err)
		}
	}
}

// watched is a data store as the scrubber sees it: counted, and in whatever trouble a test wants.
type watched struct {
	data.Store
	mu      sync.Mutex
	opened  map[data.ID]int
	spoiled map[data.ID]string
	before  func(ctx context.Context, id data.ID) error // called before each Open
}

func (s *watched) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	s.mu.Lock()
	s.opened[id]++
	how, before := s.spoiled[id], s.before
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx, id); err != nil {
			return nil, err
		}
	}
	if how == cut {
		if length > 1 {
			r, err := s.Store.Open(ctx, id, offset, 1)
			return cutShort{r}, err
		}
		return nil, io.ErrUnexpectedEOF
	}
	r, err := s.Store.Open(ctx, id, offset, length)
	if err == nil && how == flip {
		r = flipped{r}
	}
	return r, err
}

// opens returns how many segments were opened so often, and clears the counts.
func (s *watched) opens() map[int]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	times := map[int]int{}
	for _, n := range s.opened {
		times[n]++
	}
	s.opened = map[data.ID]int{}
	return times
}

type flipped struct{ io.ReadCloser }

func (f flipped) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if n > 0 {
		p[0] ^= 1
	}
	return n, err
}

type cutShort struct{ io.ReadCloser }

func (c cutShort) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// lines is a log of JSON lines.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

// errors returns the lines of the level ERROR, and clears the log.
func (l *lines) errors(t *testing.T) (found []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.all.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		if entry["level"] == "ERROR" {
			found = append(found, entry)
		}
	}
	l.all.Reset()
	return found
}
