package cached

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"holdfast/internal/data"
)

// sendChunk is how many bytes WriteTo hands over between two looks at the context.
const sendChunk = 8 << 20

// reader reads a range of a copy, chunk by chunk as they are compared, and goes on from the store where the copy ends or is not what it was. Not safe
// for concurrent use.
type reader struct {
	ctx    context.Context // rules the reader, as the contract says
	store  *Store
	copied *copied
	file   *os.File
	offset int64
	left   int64
	chunk  []byte        // what is left of the chunk that was read last, in buf
	buf    *[]byte       // nil: none was needed yet
	rest   io.ReadCloser // the store's; nil: the copy is read
	began  string        // the file's fingerprint before all of it is read; "": that will not be known
	good   int64         // bytes that were compared since the segment's beginning
	ended  bool
}

var (
	_ data.CopyReader = (*reader)(nil)
	_ data.FileReader = (*fileReader)(nil)
)

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, fmt.Errorf("cached: read %s: %w", r.copied.id, err)
	}
	if r.ended {
		return 0, fmt.Errorf("cached: read %s: %w", r.copied.id, os.ErrClosed)
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.rest == nil {
		n, err := r.fromCopy(p)
		if err == nil {
			return n, nil
		}
		if ended := r.ctx.Err(); ended != nil {
			return 0, fmt.Errorf("cached: read %s: %w", r.copied.id, ended)
		}
		if r.rest, err = r.store.pulls.Open(r.ctx, r.copied.id, r.offset, r.left); err != nil {
			return 0, err
		}
	}
	n, err := r.rest.Read(p)
	r.offset += int64(n)
	r.left -= int64(n)
	if errors.Is(err, io.EOF) && r.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// fromCopy reads some bytes of the copy, at least one. Errors: the store is to be read from here on.
func (r *reader) fromCopy(p []byte) (n int, err error) {
	if len(r.chunk) == 0 {
		start := r.offset - r.offset%chunkBytes
		size := min(chunkBytes, r.copied.size-start)
		if start == r.offset && int64(len(p)) >= size {
			if err := r.compare(p[:size], start); err != nil {
				return 0, err
			}
			r.advance(size)
			return int(size), nil
		}
		if r.buf == nil {
			r.buf = chunkBuffers.Get().(*[]byte)
		}
		chunk := (*r.buf)[:size]
		if err := r.compare(chunk, start); err != nil {
			return 0, err
		}
		r.chunk = chunk[r.offset-start:]
	}
	n = copy(p, r.chunk)
	r.chunk = r.chunk[n:]
	r.advance(int64(n))
	return n, nil
}

// compare reads the chunk at an offset, and compares it with its sum. A copy that is found bad is dropped.
func (r *reader) compare(chunk []byte, start int64) error {
	sum, err := r.copied.sum(r.ctx, start/chunkBytes)
	if err != nil {
		return err
	}
	_, err = r.file.ReadAt(chunk, start)
	if err == nil && checksum(chunk) != sum {
		err = errNoCopy
	}
	if err != nil {
		r.store.bad(r.ctx, r.copied)
		return err
	}
	if r.good == start {
		r.good = start + int64(len(chunk))
	}
	return nil
}

// advance goes on by n bytes. A reader that has compared the whole file, which did not change meanwhile, makes it one that can be sent as it is.
func (r *reader) advance(n int64) {
	r.offset += n
	r.left -= n
	if c := r.copied; r.left == 0 && r.began != "" && r.good == c.size && data.Fingerprint(r.file) == r.began {
		c.change(func() { c.checked = r.began })
	}
}

// Distrust implements data.CopyReader.
func (r *reader) Distrust() {
	r.store.distrusted.Add(r.copied.id, struct{}{})
	r.store.bad(r.ctx, r.copied)
}

// Close implements io.Closer.
func (r *reader) Close() error {
	if r.ended {
		return nil
	}
	r.ended = true
	if r.buf != nil {
		chunkBuffers.Put(r.buf)
		r.buf, r.chunk = nil, nil
	}
	err := r.file.Close()
	r.store.release(r.copied)
	if r.rest != nil {
		err = errors.Join(err, r.rest.Close())
	}
	if err != nil {
		return fmt.Errorf("cached: close %s: %w", r.copied.id, err)
	}
	return nil
}

// fileReader is a reader of a whole copy.
type fileReader struct{ *reader }

// Fingerprint implements data.FileReader.
func (r *fileReader) Fingerprint() string {
	if r.ended || r.rest != nil {
		return ""
	}
	return data.Fingerprint(r.file)
}

// WriteTo implements data.FileReader: a file that was not compared since it changed is compared on its way, through memory.
func (r *fileReader) WriteTo(dst io.Writer) (int64, error) {
	if !r.sendable() {
		buf := chunkBuffers.Get().(*[]byte)
		defer chunkBuffers.Put(buf)
		return io.CopyBuffer(onlyWriter{dst}, onlyReader{r.reader}, *buf)
	}
	if _, err := r.file.Seek(r.offset, io.SeekStart); err != nil {
		return 0, fmt.Errorf("cached: read %s: %w", r.copied.id, err)
	}
	var written int64
	for r.left > 0 {
		if err := r.ctx.Err(); err != nil {
			return written, fmt.Errorf("cached: read %s: %w", r.copied.id, err)
		}
		part := min(r.left, sendChunk)
		n, err := io.Copy(dst, &io.LimitedReader{R: r.file, N: part})
		written += n
		r.offset += n
		r.left -= n
		if err != nil {
			return written, err
		}
		if n < part {
			r.store.bad(r.ctx, r.copied)
			return written, fmt.Errorf("cached: read %s: %d bytes are missing: %w", r.copied.id, r.left, io.ErrUnexpectedEOF)
		}
	}
	return written, nil
}

// sendable reports whether the file is the one that was compared, and nothing of it was read for this reader.
func (r *fileReader) sendable() bool {
	if r.ended || r.rest != nil || len(r.chunk) > 0 {
		return false
	}
	r.copied.mu.Lock()
	checked := r.copied.checked
	r.copied.mu.Unlock()
	return checked != "" && data.Fingerprint(r.file) == checked
}

// onlyReader and onlyWriter have io.CopyBuffer use its buffer.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)
