package move_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/move"
	"holdfast/internal/move/movetest"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	"holdfast/internal/registry"
)

// counting counts the requests to a record store.
type counting struct {
	record.Store
	gets, puts, lists atomic.Int64
}

func (c *counting) Get(ctx context.Context, key record.Key) (record.Record, error) {
	c.gets.Add(1)
	return c.Store.Get(ctx, key)
}

func (c *counting) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	c.puts.Add(1)
	return c.Store.Put(ctx, key, value, cond)
}

func (c *counting) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	c.lists.Add(1)
	return c.Store.List(ctx, prefix, after)
}

func (c *counting) zero() {
	c.gets.Store(0)
	c.puts.Store(0)
	c.lists.Store(0)
}

// counted returns a site whose requests are counted.
func counted(t *testing.T) (*movetest.Site, *counting) {
	c := &counting{}
	return movetest.New(t, func(s record.Store) record.Store { c.Store = s; return c }), c
}

func layout(t *testing.T, dir string) *move.Layout {
	t.Helper()
	l, err := move.MakeLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func filled(t *testing.T, images []movetest.Image) (*movetest.Site, *counting) {
	s, c := counted(t)
	for _, i := range images {
		movetest.Push(t, s, i)
	}
	return s, c
}

func backup(t *testing.T, s move.Store, dir string, keep, problems int) *move.Report {
	t.Helper()
	r, err := move.Backup(t.Context(), []move.Store{s}, layout(t, dir), move.BackupConfig{Keep: keep}, nil)
	if err != nil || r.ProblemsTotal != problems {
		t.Fatalf("backup: %+v, %v", r, err)
	}
	return r
}

func restore(t *testing.T, to registry.Registry, dir, snapshot string, cfg move.ImportConfig) *move.Report {
	t.Helper()
	source, _, err := move.NewSnapshotSource(layout(t, dir), snapshot)
	if err != nil {
		t.Fatal(err)
	}
	r, err := move.Import(t.Context(), to, source, cfg, nil)
	if err != nil || r.ProblemsTotal != 0 {
		t.Fatalf("restore: %+v, %v", r, err)
	}
	return r
}

// TestBackupAndRestore: all comes back; what did not change costs one list a repository, and what is there already no write.
func TestBackupAndRestore(t *testing.T) {
	images := movetest.Images(40)
	from, requests := filled(t, images)
	dir := t.TempDir()
	first := backup(t, from.Store(), dir, 0, 0)
	if first.Blobs == 0 || first.Unchanged != 0 || first.Repositories != 11 {
		t.Errorf("the first backup: %+v", first)
	}
	requests.zero()
	second := backup(t, from.Store(), dir, 0, 0)
	if second.Blobs != 0 || second.Manifests != 0 || second.Unchanged != 11 || second.Snapshot <= first.Snapshot {
		t.Errorf("a backup of what did not change: %+v", second)
	}
	if gets, puts, lists := requests.gets.Load(), requests.puts.Load(), requests.lists.Load(); gets != 1 || puts != 0 || lists != 14 {
		t.Errorf("a backup of 11 repositories that did not change: %d gets, %d puts, %d lists", gets, puts, lists)
	}
	to, requests := counted(t)
	restored := restore(t, to, dir, "", move.ImportConfig{})
	movetest.Check(t, to, "", images)
	if restored.Bytes > first.Bytes {
		t.Errorf("%d bytes were copied back, %d are in the backup", restored.Bytes, first.Bytes)
	}
	requests.zero()
	again := restore(t, to, dir, "", move.ImportConfig{})
	if again.Unchanged != 11 || requests.puts.Load() != 0 {
		t.Errorf("a second restore: %d writes, %+v", requests.puts.Load(), again)
	}
	// One changed tag, one copied image.
	newer := movetest.Others(1, 1)[0]
	newer.Repository, newer.Tags = images[0].Repository, images[0].Tags
	movetest.Push(t, from, newer)
	third := backup(t, from.Store(), dir, 0, 0)
	if third.Unchanged != 10 || third.Tags != 1 || third.Manifests != 1 {
		t.Errorf("a backup after one push: %+v", third)
	}
	old := movetest.New(t, nil)
	restore(t, old, dir, first.Snapshot, move.ImportConfig{})
	movetest.Check(t, old, "", images)
	renewed := movetest.New(t, nil)
	restore(t, renewed, dir, "", move.ImportConfig{Prefix: "new"})
	movetest.Check(t, renewed, "new/", append(images[1:], newer))
}

// TestTagsKeepTheirOrder: retention counts the newest tags; after a restore they are the same.
func TestTagsKeepTheirOrder(t *testing.T) {
	images := movetest.Images(3)
	from, _ := counted(t)
	want := []oci.Tag{"z", "a", "m"}
	for n, i := range images[:3] {
		i.Repository, i.Tags = "a", []oci.Tag{want[n]}
		movetest.Push(t, from, i)
	}
	dir := t.TempDir()
	backup(t, from.Store(), dir, 0, 0)
	source, _, err := move.NewSnapshotSource(layout(t, dir), "")
	if err != nil {
		t.Fatal(err)
	}
	entries, _, err := source.Entries(t.Context(), "a")
	if err != nil || len(entries) != 3 {
		t.Fatal(entries, err)
	}
	for n, e := range entries {
		if e.Tag != want[n] || e.Pushed.IsZero() {
			t.Errorf("entry %d is %+v, not %s", n, e, want[n])
		}
	}
}

// deleting deletes an image when its first blob is asked for.
type deleting struct {
	registry.Registry
	image movetest.Image
	once  sync.Once
	t     *testing.T
}

func (d *deleting) Blob(ctx context.Context, repo oci.Repository, of oci.Digest) (*registry.Blob, error) {
	if repo == d.image.Repository {
		d.once.Do(func() {
			if err := d.DeleteManifest(ctx, repo, d.image.Digest); err != nil {
				d.t.Error(err)
			}
			for _, b := range d.image.Blobs {
				if err := d.DeleteBlob(ctx, repo, digest.FromBytes(b)); err != nil {
					d.t.Error(err)
				}
			}
		})
	}
	return d.Registry.Blob(ctx, repo, of)
}

// TestDeletedMeanwhile: an image that goes while it is copied is not in the backup, and is no problem.
func TestDeletedMeanwhile(t *testing.T) {
	images := movetest.Images(3)
	from, _ := filled(t, images)
	s := from.Store()
	s.Registry = &deleting{Registry: from.Local, image: images[0], t: t}
	dir := t.TempDir()
	backup(t, s, dir, 0, 0)
	to := movetest.New(t, nil)
	restore(t, to, dir, "", move.ImportConfig{})
	movetest.Check(t, to, "", images[1:])
	if _, err := to.Resolve(t.Context(), images[0].Repository, oci.Reference{Digest: images[0].Digest}); !errors.Is(err, oci.ErrManifestUnknown) {
		t.Errorf("what was deleted is in the backup: %v", err)
	}
}

// TestWhileOthersWrite: clients push, move and delete tags during the backup; it is whole, and has all that was there before and stayed.
func TestWhileOthersWrite(t *testing.T) {
	images := movetest.Images(30)
	from, _ := filled(t, images)
	churn := movetest.Others(1, 30)
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				i := churn[(n*3+w)%len(churn)]
				i.Repository = images[n%len(images)].Repository
				if i.Child || len(i.Blobs) == 0 {
					continue
				}
				if len(i.Tags) > 0 {
					i.Tags = []oci.Tag{oci.Tag(fmt.Sprintf("moving-%d", w))}
				}
				for _, b := range i.Blobs {
					if err := from.PushBlob(t.Context(), i.Repository, digest.FromBytes(b), bytes.NewReader(b), int64(len(b))); err != nil {
						t.Error(err)
					}
				}
				_, err := from.PushManifest(t.Context(), i.Repository, registry.Push{Body: i.Body, ContentType: i.MediaType, Tags: i.Tags})
				if err != nil && !errors.Is(err, registry.ErrDeleted) { // another writer did
					t.Error(err)
				}
				if n%3 == 0 {
					_ = from.DeleteManifest(context.WithoutCancel(ctx), i.Repository, i.Digest) // another writer may have
				}
			}
		})
	}
	dir := t.TempDir()
	for range 5 {
		backup(t, from.Store(), dir, 2, 0)
	}
	stop()
	writers.Wait()
	to := movetest.New(t, nil)
	restore(t, to, dir, "", move.ImportConfig{})
	for n := range images { // other tags are there beside them
		stored, err := to.Resolve(t.Context(), images[n].Repository, oci.Reference{Digest: images[n].Digest})
		if err != nil || stored.Digest != images[n].Digest {
			t.Errorf("%s@%s: %v", images[n].Repository, images[n].Digest, err)
		}
		for _, tag := range images[n].Tags {
			if stored, err := to.Resolve(t.Context(), images[n].Repository, oci.Reference{Tag: tag}); err != nil || stored.Digest != images[n].Digest {
				t.Errorf("%s:%s: %v", images[n].Repository, tag, err)
			}
		}
	}
}

// failing ends a context after some blobs, and counts what is read.
type failing struct {
	registry.Registry
	left  atomic.Int64
	stop  func()
	reads sync.Map
	twice atomic.Int64
}

func (f *failing) Blob(ctx context.Context, repo oci.Repository, d oci.Digest) (*registry.Blob, error) {
	if f.left.Add(-1) == 0 {
		f.stop()
	}
	b, err := f.Registry.Blob(ctx, repo, d)
	if err == nil {
		b.Bytes = whole{b.Bytes, func() {
			if _, before := f.reads.LoadOrStore(d, true); before {
				f.twice.Add(1)
			}
		}}
	}
	return b, err
}

// whole tells of bytes that were read to their end.
type whole struct {
	registry.BlobBytes
	read func()
}

func (w whole) Open(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	r, err := w.BlobBytes.Open(ctx, offset, length)
	if err == nil {
		w.read()
	}
	return r, err
}

// TestKilled: a backup that ends at any blob leaves no snapshot, and the next copies what was not copied.
func TestKilled(t *testing.T) {
	images := movetest.Images(12)
	from, _ := filled(t, images)
	dir := t.TempDir()
	for n := 1; n < 12; n += 2 {
		ctx, cancel := context.WithCancel(t.Context())
		s := from.Store()
		f := &failing{Registry: from.Local, stop: cancel}
		f.left.Store(int64(n))
		s.Registry = f
		if _, err := move.Backup(ctx, []move.Store{s}, layout(t, dir), move.BackupConfig{}, nil); !errors.Is(err, context.Canceled) {
			t.Fatalf("killed at blob %d: %v", n, err)
		}
		cancel()
		if some, err := move.Snapshots(layout(t, dir)); err != nil || len(some) != 0 {
			t.Fatalf("a backup that was killed left %v, %v", some, err)
		}
	}
	half := filepath.Join(dir, "blobs", "sha256", ".holdfast-1") // what a kill leaves
	if err := os.WriteFile(half, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := from.Store()
	f := &failing{Registry: from.Local, stop: func() {}}
	s.Registry = f
	r := backup(t, s, dir, 0, 0)
	if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a blob is left: %v", err)
	}
	if n := f.twice.Load(); n != 0 {
		t.Errorf("%d blobs were read twice", n)
	}
	if r.Present == 0 {
		t.Errorf("nothing of the killed ones was used: %+v", r)
	}
	to := movetest.New(t, nil)
	restore(t, to, dir, "", move.ImportConfig{})
	movetest.Check(t, to, "", images)
}

// TestDamaged: an image whose bytes are damaged is named, the rest is copied, and once it is repaired the next backup has it.
func TestDamaged(t *testing.T) {
	images := movetest.Images(5)
	from, _ := filled(t, images)
	bad := images[1]
	s := from.Store()
	s.Registry = &cutting{Registry: from.Local, d: digest.FromBytes(bad.Blobs[2])}
	dir := t.TempDir()
	r := backup(t, s, dir, 0, 1)
	if p := r.Problems[0]; p.Repository != string(bad.Repository) || p.Tag != string(bad.Tags[0]) || p.Digest != bad.Digest {
		t.Errorf("the problem is %+v", p)
	}
	to := movetest.New(t, nil)
	restore(t, to, dir, "", move.ImportConfig{})
	movetest.Check(t, to, "", append([]movetest.Image{images[0]}, images[2:]...))
	if r := backup(t, from.Store(), dir, 0, 0); r.Unchanged != r.Repositories-1 {
		t.Errorf("after the repair: %+v", r)
	}
	restore(t, to, dir, "", move.ImportConfig{})
	movetest.Check(t, to, "", images)
}

// cutting gives other bytes than a blob's.
type cutting struct {
	registry.Registry
	d oci.Digest
}

func (c *cutting) Blob(ctx context.Context, repo oci.Repository, d oci.Digest) (*registry.Blob, error) {
	b, err := c.Registry.Blob(ctx, repo, d)
	if err == nil && d == c.d {
		b.Bytes = short{b.Bytes}
	}
	return b, err
}

type short struct{ registry.BlobBytes }

func (s short) Open(ctx context.Context, _, length int64) (io.ReadCloser, error) {
	return s.BlobBytes.Open(ctx, 0, length-1)
}

// TestKeep: of the snapshots that are kept nothing is lost, and of the others nothing stays.
func TestKeep(t *testing.T) {
	images := movetest.Images(12)
	from, _ := filled(t, images)
	dir := t.TempDir()
	backup(t, from.Store(), dir, 2, 0)
	gone := images[0]
	if err := from.DeleteManifest(t.Context(), gone.Repository, gone.Digest); err != nil {
		t.Fatal(err)
	}
	if r := backup(t, from.Store(), dir, 2, 0); r.Removed != 0 {
		t.Errorf("the first snapshot needs what was removed: %+v", r)
	}
	if r := backup(t, from.Store(), dir, 2, 0); r.Removed < 2 {
		t.Errorf("nothing needs the image any more: %+v", r)
	}
	l := layout(t, dir)
	if _, err := l.Size(gone.Digest); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the manifest of an image that no snapshot has: %v", err)
	}
	some, err := move.Snapshots(l)
	if err != nil || len(some) != 2 {
		t.Fatal(some, err)
	}
	for _, s := range some {
		to := movetest.New(t, nil)
		restore(t, to, dir, s.Name, move.ImportConfig{})
		movetest.Check(t, to, "", images[1:])
	}
}

// TestShown: each repository of the newest snapshot is a layout of its own for other programs; a repository that went is not.
func TestShown(t *testing.T) {
	images := movetest.Images(8)
	from, _ := filled(t, images)
	dir := t.TempDir()
	backup(t, from.Store(), dir, 0, 0)
	to := movetest.New(t, nil)
	for n := range 3 {
		repo := fmt.Sprintf("team-%d/app", n)
		l, err := move.OpenLayout(filepath.Join(dir, "repositories", repo, "_oci"))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := move.Import(t.Context(), to, move.NewLayoutSource(l, repo), move.ImportConfig{}, nil); err != nil || r.ProblemsTotal != 0 {
			t.Fatalf("%+v %v", r, err)
		}
	}
	movetest.Check(t, to, "", images)
}

// TestNotALayout: a directory with something else in it is left alone, and so is a layout that is no backup.
func TestNotALayout(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letter.txt"), []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := move.MakeLayout(dir); err == nil {
		t.Error("a directory with a letter became a layout")
	}
	images := movetest.Images(2)
	from, _ := filled(t, images)
	exported := t.TempDir()
	if _, err := move.Export(t.Context(), from, layout(t, exported), []string{string(images[0].Repository)}, nil); err != nil {
		t.Fatal(err)
	}
	if r, err := move.Backup(t.Context(), []move.Store{from.Store()}, layout(t, exported), move.BackupConfig{}, nil); err == nil {
		t.Errorf("a backup into an exported layout: %+v", r)
	}
}

// TestVerify: a blob and a manifest of a backup that are damaged, and a blob that was removed, are copied again when that is asked for.
func TestVerify(t *testing.T) {
	images := movetest.Images(6)
	from, _ := filled(t, images)
	dir := t.TempDir()
	backup(t, from.Store(), dir, 0, 0)
	path := func(d oci.Digest) string { return filepath.Join(dir, "blobs", "sha256", d.Encoded()) }
	for _, d := range []oci.Digest{digest.FromBytes(images[0].Blobs[2]), images[1].Digest} {
		content, err := os.ReadFile(path(d))
		if err != nil {
			t.Fatal(err)
		}
		content[3] ^= 1
		if err := os.WriteFile(path(d), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(path(digest.FromBytes(images[2].Blobs[2]))); err != nil {
		t.Fatal(err)
	}
	r, err := move.Backup(t.Context(), []move.Store{from.Store()}, layout(t, dir), move.BackupConfig{Verify: true}, nil)
	if err != nil || r.ProblemsTotal != 0 || r.Blobs != 2 || r.Manifests != 1 || r.Unchanged != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	to := movetest.New(t, nil)
	restore(t, to, dir, "", move.ImportConfig{})
	movetest.Check(t, to, "", images)
}

// TestFull: a destination that cannot be written ends the backup; it is no problem of one image.
func TestFull(t *testing.T) {
	from, _ := filled(t, movetest.Images(6))
	dir := t.TempDir()
	l := layout(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "blobs", "sha256"), nil, 0o600); err != nil { // where a folder should be
		t.Fatal(err)
	}
	var failed *move.LayoutError
	if r, err := move.Backup(t.Context(), []move.Store{from.Store()}, l, move.BackupConfig{}, nil); !errors.As(err, &failed) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestLocked: two that write to one layout at once are refused, the second at once.
func TestLocked(t *testing.T) {
	from, _ := filled(t, movetest.Images(2))
	dir := t.TempDir()
	s := from.Store()
	s.Registry = &second{Registry: from.Local, t: t, dir: dir, store: from.Store()}
	backup(t, s, dir, 0, 0)
}

// second begins another backup while the first lists repositories.
type second struct {
	registry.Registry
	t     *testing.T
	dir   string
	store move.Store
}

func (s *second) Repositories(ctx context.Context, last string, n int) (registry.Page[oci.Repository], error) {
	if _, err := move.Backup(ctx, []move.Store{s.store}, layout(s.t, s.dir), move.BackupConfig{}, nil); !errors.Is(err, move.ErrLocked) {
		s.t.Errorf("a second backup: %v", err)
	}
	return s.Registry.Repositories(ctx, last, n)
}

// TestMediaTypeOfRequest: a manifest that does not say its media type keeps the one that it was pushed under, also when a later backup finds its bytes in the directory.
func TestMediaTypeOfRequest(t *testing.T) {
	from, _ := counted(t)
	i := movetest.Images(1)[0] // in Docker's format
	i.Body = bytes.Replace(i.Body, fmt.Appendf(nil, `"mediaType":%q,"config"`, i.MediaType), []byte(`"config"`), 1)
	i.Digest, i.Tags = digest.FromBytes(i.Body), nil
	movetest.Push(t, from, i)
	dir := t.TempDir()
	backup(t, from.Store(), dir, 0, 0)
	other := movetest.Others(1, 1)[0]
	other.Repository = i.Repository
	movetest.Push(t, from, other)
	backup(t, from.Store(), dir, 0, 0)
	to := movetest.New(t, nil)
	restore(t, to, dir, "", move.ImportConfig{})
	movetest.Check(t, to, "", []movetest.Image{i, other})
}
