package move

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"holdfast/internal/oci"
)

// Layout is an OCI image layout in a directory (image-spec, "OCI Image Layout"). A blob appears in it whole, on disk and compared with its digest, or not at
// all: what is there after a crash is never copied again. Blobs may be written by many at once; index.json by one.
type Layout struct {
	dir string
	holds
	compared sync.Map // digests that intact has read
}

// Names in a layout.
const (
	indexName  = v1.ImageIndexFile
	layoutName = v1.ImageLayoutFile
	blobsName  = v1.ImageBlobsDir
	tempPrefix = ".holdfast-" // of files that are being written
)

// OpenLayout opens the layout of a directory, which must have one. Errors: fs.ErrNotExist.
func OpenLayout(dir string) (*Layout, error) {
	text, err := os.ReadFile(filepath.Join(dir, layoutName))
	if err != nil {
		return nil, fmt.Errorf("move: open the OCI layout %s: %w", dir, err)
	}
	var head v1.ImageLayout
	if err := json.Unmarshal(text, &head); err != nil || head.Version != v1.ImageLayoutVersion {
		return nil, fmt.Errorf("move: open the OCI layout %s: %s does not say imageLayoutVersion %s", dir, layoutName, v1.ImageLayoutVersion)
	}
	return newLayout(dir), nil
}

func newLayout(dir string) *Layout { return &Layout{dir: dir, holds: newHolds()} }

// MakeLayout opens the layout of a directory, and makes an empty one where there is none. A directory that holds anything else is refused.
func MakeLayout(dir string) (*Layout, error) {
	l, err := OpenLayout(dir)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return l, err
	}
	there, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("move: make an OCI layout: %w", err)
	}
	for _, entry := range there {
		if name := entry.Name(); name != blobsName && !strings.HasPrefix(name, tempPrefix) { // of a call that was killed here
			return nil, fmt.Errorf("move: make an OCI layout: %s is neither empty nor a layout: it has %s", dir, name)
		}
	}
	l = newLayout(dir)
	if err := os.MkdirAll(filepath.Join(dir, blobsName), 0o750); err != nil {
		return nil, fmt.Errorf("move: make an OCI layout: %w", err)
	}
	return l, writeJSON(filepath.Join(dir, layoutName), v1.ImageLayout{Version: v1.ImageLayoutVersion})
}

func (l *Layout) path(d oci.Digest) string {
	return filepath.Join(l.dir, blobsName, string(d.Algorithm()), d.Encoded())
}

// Size returns the size of a blob. Errors: fs.ErrNotExist.
func (l *Layout) Size(d oci.Digest) (int64, error) {
	info, err := os.Stat(l.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("move: look for blob %s: %w", d, err)
	}
	if err != nil {
		return 0, &LayoutError{err}
	}
	return info.Size(), nil
}

// Has reports whether a blob of this size is there. One of another size is not it: somebody cut it.
func (l *Layout) Has(d oci.Digest, size int64) (bool, error) {
	actual, err := l.Size(d)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && actual == size, err
}

// intact is Has for a blob that is read and compared with its digest, once.
func (l *Layout) intact(ctx context.Context, d oci.Digest, size int64) (bool, error) {
	there, err := l.Has(d, size)
	if err != nil || !there {
		return false, err
	}
	if _, before := l.compared.Load(d); before {
		return true, nil
	}
	r, _, err := l.Open(d)
	if err != nil {
		return false, err
	}
	verifier := d.Verifier()
	_, err = io.Copy(verifier, contextReader{ctx, r})
	err = errors.Join(err, r.Close())
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	good := err == nil && verifier.Verified() // a part of a disk that cannot be read is damage as well
	if good {
		l.compared.Store(d, true)
	}
	return good, nil
}

// Open reads a blob, and does not compare it with its digest. Errors: fs.ErrNotExist.
func (l *Layout) Open(d oci.Digest) (io.ReadCloser, int64, error) {
	// What is no file is not opened: at a pipe that nobody writes to it would wait for ever.
	if info, err := os.Stat(l.path(d)); err == nil && !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("move: open blob %s: it is no file", d)
	}
	f, err := os.Open(l.path(d))
	if err != nil {
		return nil, 0, fmt.Errorf("move: open blob %s: %w", d, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("move: open blob %s: %w", d, err), f.Close())
	}
	return f, info.Size(), nil
}

// ReadBytes reads a blob of at most limit bytes, and compares it with its digest. Errors: fs.ErrNotExist, a *DigestError.
func (l *Layout) ReadBytes(d oci.Digest, limit int64) ([]byte, error) {
	r, size, err := l.Open(d)
	if err != nil {
		return nil, err
	}
	body, err := readBytes(r, d, size, limit)
	return body, errors.Join(err, r.Close())
}

// DigestError is content that is not what its digest says.
type DigestError struct{ Digest oci.Digest }

// Error names the digest.
func (e *DigestError) Error() string { return fmt.Sprintf("the bytes are not those of %s", e.Digest) }

// readBytes reads all of r and compares it with a digest.
func readBytes(r io.Reader, d oci.Digest, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, fmt.Errorf("move: %s has %d bytes: a manifest has at most %d", d, size, limit)
	}
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("move: read %s: %w", d, err)
	}
	if d.Algorithm().FromBytes(body) != d {
		return nil, &DigestError{d}
	}
	return body, nil
}

// LayoutError is a layout whose files cannot be written, or not be looked at.
type LayoutError struct{ Err error }

// Error is the cause's.
func (e *LayoutError) Error() string { return "move: the layout: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *LayoutError) Unwrap() error { return e.Err }

// Write adds a blob. It is durable once Sync has returned. Errors: a *DigestError, a *LayoutError; what the reader fails with.
func (l *Layout) Write(ctx context.Context, d oci.Digest, r io.Reader) error {
	path := l.path(d)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return &LayoutError{err}
	}
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix)
	if err != nil {
		return &LayoutError{err}
	}
	verifier := d.Verifier()
	_, err = io.Copy(io.MultiWriter(marked{f}, verifier), contextReader{ctx, r})
	switch {
	case err != nil:
		err = fmt.Errorf("move: copy %s: %w", d, err)
	case !verifier.Verified():
		err = &DigestError{d}
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return place(f, path)
}

// marked tells errors of the writer from those of a reader.
type marked struct{ w io.Writer }

// Write implements io.Writer.
func (m marked) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	if err != nil {
		err = &LayoutError{err}
	}
	return n, err
}

// place makes a temporary file the one at path, durable but for the directory, or removes it.
func place(f *os.File, path string) error {
	err := errors.Join(f.Sync(), f.Close())
	if err == nil {
		err = os.Chmod(f.Name(), 0o640) //nolint:gosec // G302: a layout is for other programs, of the same group, as well
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return &LayoutError{errors.Join(err, os.Remove(f.Name()))}
	}
	return nil
}

// writeJSON replaces a file whole.
func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("move: write %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix)
	if err != nil {
		return &LayoutError{err}
	}
	if _, err := f.Write(text); err != nil {
		return &LayoutError{errors.Join(err, f.Close(), os.Remove(f.Name()))}
	}
	if err := place(f, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// WriteIndexBlob adds an index as a blob, and returns its descriptor.
func (l *Layout) WriteIndexBlob(ctx context.Context, index v1.Index) (oci.Descriptor, error) {
	body, err := json.Marshal(index)
	if err != nil {
		return oci.Descriptor{}, fmt.Errorf("move: write an index: %w", err)
	}
	desc := oci.Descriptor{MediaType: v1.MediaTypeImageIndex, Digest: digest.FromBytes(body), Size: int64(len(body))}
	there, err := l.intact(ctx, desc.Digest, desc.Size) // a damaged one is written again: nothing can be restored by it
	if err != nil || there {
		return desc, err
	}
	return desc, l.Write(ctx, desc.Digest, strings.NewReader(string(body)))
}

// readIndexBlob reads what WriteIndexBlob wrote, and checks that all that it names are digests.
func (l *Layout) readIndexBlob(desc oci.Descriptor) (v1.Index, error) {
	d, err := oci.ParseDigest(string(desc.Digest))
	if err != nil {
		return v1.Index{}, fmt.Errorf("move: read an index: %w", err)
	}
	body, err := l.ReadBytes(d, maxIndexBytes)
	if err != nil {
		return v1.Index{}, err
	}
	index, err := parseIndex(body, string(d))
	for _, m := range index.Manifests {
		if _, bad := oci.ParseDigest(string(m.Digest)); bad != nil {
			err = errors.Join(err, fmt.Errorf("move: read the index %s: %w", d, bad))
		}
	}
	return index, err
}

// maxIndexBytes bounds the indexes of layouts, which no registry serves: some two million tags.
const maxIndexBytes = 1 << 30

func parseIndex(body []byte, name string) (v1.Index, error) {
	var index v1.Index
	if err := json.Unmarshal(body, &index); err != nil {
		return v1.Index{}, fmt.Errorf("move: read the index %s: %w", name, err)
	}
	return index, nil
}

// Index reads index.json; a layout that has none yet has an empty one.
func (l *Layout) Index() (v1.Index, error) {
	body, err := os.ReadFile(filepath.Join(l.dir, indexName))
	if errors.Is(err, fs.ErrNotExist) {
		return newIndex(), nil
	}
	if err != nil {
		return v1.Index{}, fmt.Errorf("move: read %s: %w", indexName, err)
	}
	return parseIndex(body, filepath.Join(l.dir, indexName))
}

func newIndex() v1.Index {
	index := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []oci.Descriptor{}}
	index.SchemaVersion = 2
	return index
}

// WriteIndex replaces index.json, once all blobs that were written are durable.
func (l *Layout) WriteIndex(index v1.Index) error {
	if err := l.Sync(); err != nil {
		return err
	}
	return writeJSON(filepath.Join(l.dir, indexName), index)
}

// Sync makes the names of all blobs durable.
func (l *Layout) Sync() error {
	blobs := filepath.Join(l.dir, blobsName)
	entries, err := os.ReadDir(blobs)
	if err != nil {
		return fmt.Errorf("move: sync %s: %w", blobs, err)
	}
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, syncDir(filepath.Join(blobs, e.Name())))
		}
	}
	return errors.Join(err, syncDir(blobs), syncDir(l.dir))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("move: sync %s: %w", dir, err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("move: sync %s: %w", dir, err)
	}
	return nil
}

// contextReader fails once its context has ended.
type contextReader struct {
	ctx context.Context //nolint:containedctx // rules the reader within one call
	r   io.Reader
}

// Read implements io.Reader.
func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
