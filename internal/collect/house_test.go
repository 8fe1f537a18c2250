package collect_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/collect"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

// house is a registry with what is in it, and time that passes at once.
type house struct {
	t        *testing.T
	records  record.Store
	segments *datamem.Store
	store    format.Store
	hints    *collect.Hints
	registry *registry.Local
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

const day = 24 * time.Hour

// in runs a test in a house of its own.
func in(t *testing.T, test func(t *testing.T, h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, recordmem.New(recordmem.Config{}), datamem.Config{})
		test(t, h)
	})
}

func newHouse(t *testing.T, records record.Store, segments datamem.Config) *house {
	t.Helper()
	h := &house{t: t, records: records, segments: datamem.New(segments)}
	h.store = format.Store{Records: records, Ages: format.DefaultAges()}
	h.hints = collect.NewHints(h.store, discard())
	l, err := registry.New(t.Context(), records, h.segments, registry.Config{Changed: h.hints.Changed}, discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	h.registry = l
	return h
}

// pass lets time pass, after the replica has written its hints.
func (h *house) pass(d time.Duration) {
	h.t.Helper()
	if err := h.hints.Write(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	time.Sleep(d)
	synctest.Wait()
}

func (h *house) collector(cfg collect.Config) *collect.Collector {
	return collect.New(h.registry, h.store, h.segments, cfg, discard())
}

// collect makes a pass of a fresh collector.
func (h *house) collect(full bool, cfg collect.Config) *collect.Report {
	h.t.Helper()
	report, err := h.collector(cfg).Pass(h.t.Context(), collect.Progress{Full: full}, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, s := range report.Skipped {
		h.t.Errorf("it left alone: %s", s)
	}
	return report
}

// blob brings a blob in as clients do: only when it is not there, and by a mount when another repository has it.
func (h *house) blob(repo oci.Repository, content string) oci.Digest {
	h.t.Helper()
	d := digest.FromString(content)
	if _, err := h.registry.StatBlob(h.t.Context(), repo, d); err == nil {
		return d
	}
	if h.registry.MountBlob(h.t.Context(), repo, d, registry.Source{}) == nil {
		return d
	}
	if err := h.registry.PushBlob(h.t.Context(), repo, d, strings.NewReader(content), int64(len(content))); err != nil {
		h.t.Fatal(err)
	}
	return d
}

func descriptor(mediaType, content string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, digest.FromString(content), len(content))
}

// image is a manifest of a config and layers, with a subject unless it is "".
func image(subject string, layers ...string) string {
	var parts []string
	for _, l := range layers {
		parts = append(parts, descriptor("a/layer", l))
	}
	more := ""
	if subject != "" {
		more = `,"subject":` + descriptor(oci.MediaTypeImageManifest, subject)
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]%s}`, oci.MediaTypeImageManifest, descriptor("a/config", "config"), strings.Join(parts, ","), more)
}

func index(children ...string) string {
	var parts []string
	for _, c := range children {
		parts = append(parts, descriptor(oci.MediaTypeImageManifest, c))
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, oci.MediaTypeImageIndex, strings.Join(parts, ","))
}

func (h *house) manifest(repo oci.Repository, body string, tags ...oci.Tag) oci.Digest {
	h.t.Helper()
	p, err := h.registry.PushManifest(h.t.Context(), repo, registry.Push{Body: []byte(body), Tags: tags})
	if err != nil {
		h.t.Fatal(err)
	}
	return p.Digest
}

// push pushes an image of layers, and the layers.
func (h *house) push(repo oci.Repository, tag oci.Tag, layers ...string) oci.Digest {
	h.t.Helper()
	for _, l := range append(layers, "config") {
		h.blob(repo, l)
	}
	return h.manifest(repo, image("", layers...), tag)
}

func (h *house) read(repo oci.Repository, d oci.Digest) (string, error) {
	blob, err := h.registry.Blob(h.t.Context(), repo, d)
	if err != nil {
		return "", err
	}
	r, err := blob.Bytes.Open(h.t.Context(), 0, blob.Size)
	if err != nil {
		return "", err
	}
	got, err := io.ReadAll(r)
	return string(got), errors.Join(err, r.Close())
}

// wantImage checks that an image can be pulled by a tag, whole.
func (h *house) wantImage(repo oci.Repository, tag oci.Tag, layers ...string) {
	h.t.Helper()
	if _, err := h.registry.Resolve(h.t.Context(), repo, oci.Reference{Tag: tag}); err != nil {
		h.t.Errorf("%s:%s: %v", repo, tag, err)
	}
	for _, l := range append(layers, "config") {
		if got, err := h.read(repo, digest.FromString(l)); err != nil || got != l {
			h.t.Errorf("the layer %q of %s:%s is %q, %v", l, repo, tag, got, err)
		}
	}
}

func (h *house) wantGone(repo oci.Repository, d oci.Digest) {
	h.t.Helper()
	_, err := h.registry.Resolve(h.t.Context(), repo, oci.Reference{Digest: d})
	if !errors.Is(err, oci.ErrManifestUnknown) {
		h.t.Errorf("%s of %s is not gone: %v", d, repo, err)
	}
}

// bytes are the bytes of data that the store holds.
func (h *house) bytes() int64 {
	h.t.Helper()
	var sum int64
	for entry, err := range h.segments.List(h.t.Context(), "") {
		if err != nil {
			h.t.Fatal(err)
		}
		sum += entry.Size
	}
	return sum
}

// count is how many segments the store holds.
func (h *house) count() (n int) {
	h.t.Helper()
	for _, err := range h.segments.List(h.t.Context(), "") {
		if err != nil {
			h.t.Fatal(err)
		}
		n++
	}
	return n
}

// keys are the keys of records below a prefix.
func (h *house) keys(prefix record.Key) []string {
	h.t.Helper()
	var keys []string
	for entry, err := range h.records.List(h.t.Context(), prefix, "") {
		if err != nil {
			h.t.Fatal(err)
		}
		keys = append(keys, string(entry.Key))
	}
	return keys
}

func sizeOf(contents ...string) int64 { return int64(len(strings.Join(contents, ""))) }

// versions are all records, and all segments, by what tells whether they changed.
func (h *house) versions() map[string]string {
	h.t.Helper()
	all := map[string]string{}
	for _, prefix := range []record.Key{"b/", "cfg/", "h/", "l/", "n/", "p/", "r/", "u/"} {
		for entry, err := range h.records.List(h.t.Context(), prefix, "") {
			if err != nil {
				h.t.Fatal(err)
			}
			all[string(entry.Key)] = string(entry.Version)
		}
	}
	for entry, err := range h.segments.List(h.t.Context(), "") {
		if err != nil {
			h.t.Fatal(err)
		}
		all[string(entry.ID)] = "a segment"
	}
	return all
}
