package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/data"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

// stores is what the replicas of one test share.
type stores struct {
	t        *testing.T
	records  record.Store
	segments data.Store
}

func newStores(t *testing.T) *stores {
	return &stores{t, recordmem.New(recordmem.Config{}), datamem.New(datamem.Config{})}
}

func (s *stores) open(records record.Store, segments data.Store) *registry.Local {
	s.t.Helper()
	l, err := registry.New(s.t.Context(), records, segments, registry.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(l.Close)
	return l
}

func (s *stores) replica() *registry.Local { return s.open(s.records, s.segments) }

func (s *stores) push(l *registry.Local, repo oci.Repository, content string) oci.Digest {
	s.t.Helper()
	d := digest.FromString(content)
	if err := l.PushBlob(s.t.Context(), repo, d, strings.NewReader(content), int64(len(content))); err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *stores) manifest(l *registry.Local, repo oci.Repository, tag oci.Tag) oci.Digest {
	s.t.Helper()
	config := s.push(l, repo, "config of "+string(repo))
	body := fmt.Appendf(nil, `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":%q,"size":%d},"layers":[]}`, config, len("config of "+string(repo)))
	p, err := l.PushManifest(s.t.Context(), repo, registry.Push{Body: body, Tags: []oci.Tag{tag}})
	if err != nil {
		s.t.Fatal(err)
	}
	return p.Digest
}

func read(t *testing.T, l *registry.Local, repo oci.Repository, d oci.Digest) ([]byte, error) {
	t.Helper()
	blob, err := l.Blob(t.Context(), repo, d)
	if err != nil {
		return nil, err
	}
	r, err := blob.Bytes.Open(t.Context(), 0, blob.Size)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(r)
	return got, errors.Join(err, r.Close())
}

// A list shows sizes only, so a size must tell what is dead.
func TestDeadValuesAre512BytesAndOthersAtLeast1024(t *testing.T) {
	s := newStores(t)
	l := s.replica()
	d := s.manifest(l, "a", "one")
	s.manifest(l, "b", "two")
	u, err := l.StartUpload(t.Context(), "a", digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.CancelUpload(t.Context(), "a", u.ID); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		l.DeleteTag(t.Context(), "b", "two"),
		l.DeleteManifest(t.Context(), "a", d),
		l.DeleteBlob(t.Context(), "a", digest.FromString("config of a")),
	); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, prefix := range []record.Key{"b/", "cfg/", "l/", "n/", "r/", "u/"} {
		for entry, err := range s.records.List(t.Context(), prefix, "") {
			if err != nil {
				t.Fatal(err)
			}
			rec, err := s.records.Get(t.Context(), entry.Key)
			if err != nil {
				t.Fatal(err)
			}
			dead := bytes.Contains(rec.Value, []byte(`"st":"dead"`))
			if dead != (entry.Size == 512) || !dead && entry.Size < 1024 {
				t.Errorf("%s: %d bytes, dead: %t", entry.Key, entry.Size, dead)
			}
			if dead {
				found[string(prefix)]++
			}
		}
	}
	if found["l/"] != 1 || found["r/"] != 3 { // a link; the tags of a and b, and the manifest of a
		t.Errorf("tombstones %v, want 1 link and 3 in repositories", found)
	}
}

// shifted is a store whose clock differs, as this process sees it.
type shifted struct {
	record.Store
	by time.Duration
}

func (s shifted) Now() time.Time { return s.Store.Now().Add(s.by) }

// A create that lands more than an hour after it was sent may have outlived the tombstone that should have
// stopped it: it counts for nothing.
func TestLateCreatesAreVoid(t *testing.T) {
	s := newStores(t)
	l := s.replica()
	late := s.open(shifted{s.records, -2 * time.Hour}, s.segments)
	d := digest.FromString("late")
	if err := late.PushBlob(t.Context(), "a", d, strings.NewReader("late"), 4); err == nil {
		t.Error("a void link was acknowledged")
	}
	m := s.manifest(l, "d", "two")
	body, err := l.Resolve(t.Context(), "d", oci.Reference{Digest: m})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := late.PushManifest(t.Context(), "d", registry.Push{Body: body.Body, Tags: []oci.Tag{"one"}}); err == nil {
		t.Error("a void tag was acknowledged")
	}
	if _, err := l.Resolve(t.Context(), "d", oci.Reference{Tag: "one"}); !errors.Is(err, oci.ErrManifestUnknown) {
		t.Errorf("a void tag: %v, want MANIFEST_UNKNOWN", err)
	}
	s.push(l, "a", "late")
	if got, err := read(t, l, "a", d); err != nil || string(got) != "late" {
		t.Errorf("a blob pushed over void values: %q, %v", got, err)
	}
	if again := s.manifest(l, "d", "one"); again != m {
		t.Fatal("the manifest changed")
	}
	if _, err := l.Resolve(t.Context(), "d", oci.Reference{Tag: "one"}); err != nil {
		t.Errorf("after a push over void values: %v", err)
	}
}

// damaged is a data store whose bytes have rotted.
type damaged struct {
	data.Store
	on    *atomic.Bool
	spoil func(io.ReadCloser) io.ReadCloser
}

func (d damaged) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	r, err := d.Store.Open(ctx, id, offset, length)
	if err == nil && d.on.Load() {
		r = d.spoil(r)
	}
	return r, err
}

type flipped struct{ io.ReadCloser }

func (f flipped) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if n > 0 {
		p[0] ^= 1
	}
	return n, err
}

type short struct {
	io.Reader
	io.Closer
}

func TestDamagedBytesAreNeverServedWholeAndAPushRepairs(t *testing.T) {
	for name, spoil := range map[string]func(io.ReadCloser) io.ReadCloser{
		"flipped": func(r io.ReadCloser) io.ReadCloser { return flipped{r} },
		"short":   func(r io.ReadCloser) io.ReadCloser { return short{io.LimitReader(r, 5), r} },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStores(t)
			var on atomic.Bool
			l := s.open(s.records, damaged{s.segments, &on, spoil})
			const content = "a layer with some bytes in it"
			d := s.push(l, "a", content)
			s.push(l, "b", content)
			on.Store(true)
			got, err := read(t, l, "a", d)
			if err == nil || len(got) >= len(content) {
				t.Fatalf("%d of %d bytes were served, error %v", len(got), len(content), err)
			}
			for _, repo := range []oci.Repository{"a", "b"} {
				if _, err := l.Blob(t.Context(), repo, d); !errors.Is(err, oci.ErrUnavailable) {
					t.Errorf("GET in %s: %v, want UNAVAILABLE", repo, err)
				}
				if _, err := l.StatBlob(t.Context(), repo, d); !errors.Is(err, oci.ErrBlobUnknown) {
					t.Errorf("HEAD in %s: %v, want BLOB_UNKNOWN", repo, err)
				}
			}
			on.Store(false)
			for _, repo := range []oci.Repository{"a", "b"} {
				s.push(l, repo, content)
				if got, err := read(t, l, repo, d); err != nil || string(got) != content {
					t.Errorf("after the repair of %s: %q, %v", repo, got, err)
				}
			}
		})
	}
}

type broken struct{ io.ReadCloser }

func (broken) Read([]byte) (int, error) {
	return 0, fmt.Errorf("%w: %w", data.ErrUnavailable, io.ErrUnexpectedEOF)
}

func TestABrokenConnectionToTheStoreMarksNothingCorrupt(t *testing.T) {
	s := newStores(t)
	var on atomic.Bool
	l := s.open(s.records, damaged{s.segments, &on, func(r io.ReadCloser) io.ReadCloser { return broken{r} }})
	d := s.push(l, "a", "a layer")
	on.Store(true)
	if _, err := read(t, l, "a", d); !errors.Is(err, data.ErrUnavailable) {
		t.Fatalf("error %v, want ErrUnavailable", err)
	}
	on.Store(false)
	if got, err := read(t, l, "a", d); err != nil || string(got) != "a layer" {
		t.Fatalf("afterwards %q, %v", got, err)
	}
}

// failing is a store whose requests fail from the n-th on, before or after they were applied.
type failing struct {
	record.Store
	left    *atomic.Int64
	applied bool
}

var errGone = fmt.Errorf("the store is gone: %w", record.ErrUnavailable)

func (f failing) Get(ctx context.Context, key record.Key) (record.Record, error) {
	if f.left.Add(-1) < 0 {
		return record.Record{}, errGone
	}
	return f.Store.Get(ctx, key)
}

func (f failing) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if f.left.Add(-1) >= 0 {
		return f.Store.Put(ctx, key, value, cond)
	}
	if f.applied {
		_, _ = f.Store.Put(ctx, key, value, cond)
	}
	return record.Stamp{}, errGone
}

// Whatever request of an operation fails, applied or not: the error is never a 404, the old tag stays or the new
// one is whole, and the same push again succeeds.
func TestAStoreThatGoesAtAnyRequest(t *testing.T) {
	for _, applied := range []bool{false, true} {
		for n := range int64(40) {
			t.Run(fmt.Sprintf("applied %t, from request %d", applied, n), func(t *testing.T) {
				s := newStores(t)
				var left atomic.Int64
				left.Store(1 << 40)
				l := s.open(failing{s.records, &left, applied}, s.segments)
				healthy := s.replica()
				old := s.manifest(healthy, "a", "latest")
				content := "layer of " + t.Name()
				d := digest.FromString(content)
				body := fmt.Appendf(nil, `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":%q,"size":%d},"layers":[],"subject":{"mediaType":"a/b","digest":%q,"size":1}}`, d, len(content), old)
				push := func(l *registry.Local) error {
					if err := l.PushBlob(t.Context(), "a", d, strings.NewReader(content), int64(len(content))); err != nil {
						return err
					}
					_, err := l.PushManifest(t.Context(), "a", registry.Push{Body: body, Tags: []oci.Tag{"latest"}})
					return err
				}
				left.Store(n)
				err := push(l)
				left.Store(1 << 40)
				if err != nil && !errors.Is(err, record.ErrUnavailable) {
					t.Fatalf("the push: %v, want an error of the store", err)
				}
				m, resolveErr := healthy.Resolve(t.Context(), "a", oci.Reference{Tag: "latest"})
				if resolveErr != nil {
					t.Fatalf("after a push that failed, the tag: %v", resolveErr)
				}
				if err == nil && m.Digest != digest.FromBytes(body) || m.Digest != old && m.Digest != digest.FromBytes(body) {
					t.Fatalf("the tag is %s", m.Digest)
				}
				if err := push(l); err != nil {
					t.Fatalf("the same push again: %v", err)
				}
				if got, err := read(t, healthy, "a", d); err != nil || string(got) != content {
					t.Fatalf("the blob: %q, %v", got, err)
				}
				list, err := healthy.Referrers(t.Context(), "a", old)
				if err != nil || len(list) != 1 {
					t.Fatalf("referrers %v, %v", list, err)
				}
			})
		}
	}
}

func TestASecretAndAFormatOfANewerVersion(t *testing.T) {
	s := newStores(t)
	s.replica()
	rec, err := s.records.Get(t.Context(), "cfg/format")
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Replace(rec.Value, []byte(`"format":1`), []byte(`"format":3`), 1)
	if _, err := s.records.Put(t.Context(), "cfg/format", newer, record.IfVersion(rec.Version)); err != nil {
		t.Fatal(err)
	}
	_, err = registry.New(t.Context(), s.records, s.segments, registry.Config{}, slog.New(slog.DiscardHandler))
	var format *registry.FormatError
	if !errors.As(err, &format) || format.Found != 3 {
		t.Fatalf("error %v, want a FormatError of 3", err)
	}
}

func TestAgesAreChecked(t *testing.T) {
	ages := format.DefaultAges()
	if err := ages.Check(); err != nil {
		t.Fatal(err)
	}
	ages.Grace = ages.TagAfterManifest
	ages.YoungManifest = ages.TagAfterManifest
	err := ages.Check()
	if err == nil || !strings.Contains(err.Error(), "Grace") || !strings.Contains(err.Error(), "YoungManifest") {
		t.Fatalf("error %v, want both violations", err)
	}
}

func TestMaxBlobBytes(t *testing.T) {
	s := newStores(t)
	l, err := registry.New(t.Context(), s.records, s.segments, registry.Config{MaxBlobBytes: 10}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{11, -1} {
		content := strings.Repeat("x", 11)
		err := l.PushBlob(t.Context(), "a", digest.FromString(content), strings.NewReader(content), size)
		var refused *oci.Error
		if !errors.As(err, &refused) || refused.Reason != oci.TooLarge {
			t.Errorf("11 bytes, announced %d: %v, want SIZE_INVALID, too large", size, err)
		}
	}
	s.push(l, "a", strings.Repeat("x", 10))
}

// A digest that a manifest names twice is looked at as a blob and as a manifest, and with each of its sizes.
func TestEveryDescriptorIsLookedAt(t *testing.T) {
	s := newStores(t)
	l := s.replica()
	const content, image = "a layer", "application/vnd.oci.image.manifest.v1+json"
	d := s.push(l, "a", content)
	child := s.manifest(l, "a", "child")
	stored, err := l.Resolve(t.Context(), "a", oci.Reference{Digest: child})
	if err != nil {
		t.Fatal(err)
	}
	s.push(l, "b", string(stored.Body)) // the bytes of a manifest, as a blob
	ref := func(mediaType string, d oci.Digest, size int) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, d, size)
	}
	blob := ref("a/b", d, len(content))
	wrong := ref("a/b", d, len(content)+1)
	of := ref(image, child, len(stored.Body))
	index := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s,%s]}`
	for _, row := range []struct {
		name string
		repo oci.Repository
		body string
		want oci.Code
	}{
		{"a layer twice, with another size", "a", fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[%s,%s]}`, blob, blob, wrong), oci.SizeInvalid},
		{"config and layer, with another size", "a", fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[%s]}`, blob, wrong), oci.SizeInvalid},
		{"a child twice, with another size", "a", fmt.Sprintf(index, of, ref(image, child, 1)), oci.SizeInvalid},
		{"a child that is there as a blob only", "b", fmt.Sprintf(index, ref("application/x-any", child, len(stored.Body)), of), oci.ManifestBlobUnknown},
		{"all twice, and right", "a", fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[%s,%s]}`, blob, blob, blob), ""},
		{"a child twice, and right", "a", fmt.Sprintf(index, of, of), ""},
	} {
		_, err := l.PushManifest(t.Context(), row.repo, registry.Push{Body: []byte(row.body), Tags: []oci.Tag{"x"}})
		if row.want == "" && err == nil {
			continue
		}
		if err == nil || !strings.Contains(fmt.Sprintf("%#v %v", err, err), string(row.want)) {
			t.Errorf("%s: %v, want %s", row.name, err, row.want)
		}
	}
}

// A foreign layer need not be there. One that is there belongs to its manifest like any other.
func TestAForeignLayerThatIsThereIsInUse(t *testing.T) {
	s := newStores(t)
	l := s.replica()
	const content = "a layer that others may not distribute"
	d, config := s.push(l, "a", content), s.push(l, "a", "{}")
	layers := `[{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":%q,"size":%d}]`
	body := fmt.Appendf(nil, `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":%q,"size":2},"layers":`+layers+`}`, config, d, len(content))
	pushed, err := l.PushManifest(t.Context(), "a", registry.Push{Body: body, Tags: []oci.Tag{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	var refused *oci.Error
	if err := l.DeleteBlob(t.Context(), "a", d); !errors.As(err, &refused) || refused.Code != oci.Denied {
		t.Errorf("DeleteBlob = %v, want DENIED", err)
	}
	if err := errors.Join(l.DeleteManifest(t.Context(), "a", pushed.Digest), l.DeleteBlob(t.Context(), "a", d)); err != nil {
		t.Errorf("after its manifest's delete: %v", err)
	}
}
