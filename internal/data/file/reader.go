package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"holdfast/internal/data"
)

// copyChunk is how many bytes WriteTo hands over between two looks at the context.
const copyChunk = 8 << 20

// Reader reads a range of a segment: it is what Open returns, as an io.ReadCloser. Not safe for
// concurrent use; any number of Readers of one segment is.
//
// To send a segment to a client without copying it through this process, io.Copy(response, reader) is
// enough: WriteTo hands the file itself to the response's ReadFrom, which on a plain TCP connection is
// sendfile(2). That holds while response is the http.ResponseWriter of net/http, or a wrapper with a
// ReadFrom of its own, and reader is not wrapped: a reader that hashes, and io.CopyN, read through memory.
type Reader struct {
	ctx  context.Context // rules the reader, as the contract says
	file *os.File        // positioned at the next byte to read
	id   data.ID
	left int64 // bytes of the range that are still to be read
}

var _ data.FileReader = (*Reader)(nil)

// Open implements data.Store. The io.ReadCloser is a *Reader.
func (s *Store) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	if err := check(ctx, id); err != nil {
		return nil, fmt.Errorf("file: open %s: %w", id, err)
	}
	if offset < 0 || length < -1 {
		return nil, fmt.Errorf("file: open %s: invalid range %d+%d", id, offset, length)
	}
	f, err := s.root.Open(name(id))
	if err != nil {
		return nil, fmt.Errorf("file: open %s: %w", id, wrap(err))
	}
	left, err := seek(f, offset, length)
	if err != nil {
		return nil, fmt.Errorf("file: open %s: %w", id, errors.Join(err, f.Close()))
	}
	return &Reader{ctx: ctx, file: f, id: id, left: left}, nil
}

// seek goes to a range and returns its length. Errors: io.ErrUnexpectedEOF when the file is shorter.
func seek(f *os.File, offset, length int64) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, wrap(err)
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%w: it is no regular file", data.ErrUnavailable)
	}
	size := info.Size()
	if length == -1 {
		length = max(size-offset, 0)
	}
	if offset > size || length > size-offset {
		return 0, fmt.Errorf("range %d+%d of %d bytes: %w", offset, length, size, io.ErrUnexpectedEOF)
	}
	if offset > 0 {
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			return 0, wrap(err)
		}
	}
	return length, nil
}

// Read implements io.Reader. Errors: io.ErrUnexpectedEOF when the file was cut short meanwhile.
func (r *Reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, fmt.Errorf("file: read %s: %w", r.id, err)
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.file.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		return n, fmt.Errorf("file: read %s: %d bytes are missing: %w", r.id, r.left, io.ErrUnexpectedEOF)
	default:
		return n, fmt.Errorf("file: read %s: %w", r.id, wrap(err))
	}
}

// WriteTo implements io.WriterTo: it gives dst the rest of the range, by dst's ReadFrom where it has one,
// which then sees an *io.LimitedReader of an *os.File. Errors: those of dst as they are;
// io.ErrUnexpectedEOF when the file was cut short meanwhile.
func (r *Reader) WriteTo(dst io.Writer) (int64, error) {
	var written int64
	for r.left > 0 {
		if err := r.ctx.Err(); err != nil {
			return written, fmt.Errorf("file: read %s: %w", r.id, err)
		}
		chunk := min(r.left, copyChunk)
		n, err := io.Copy(dst, &io.LimitedReader{R: r.file, N: chunk})
		written += n
		r.left -= n
		if err != nil {
			return written, err
		}
		if n < chunk {
			return written, fmt.Errorf("file: read %s: %d bytes are missing: %w", r.id, r.left, io.ErrUnexpectedEOF)
		}
	}
	return written, nil
}

// File returns the open file, positioned at the next byte to read. Who reads or moves it has Remaining to
// mind, and must not read from the Reader afterwards. Close closes it.
func (r *Reader) File() *os.File { return r.file }

// Remaining returns how many bytes of the range are still to be read.
func (r *Reader) Remaining() int64 { return r.left }

// Fingerprint tells whether the file has been changed: while it is the same as before, and not "", so is
// the content, unless somebody with rights over the machine's clock or its raw disk wants to deceive.
// Who has hashed all bytes of the file, and sees the same Fingerprint before and after, may send the
// file later without hashing it again while it stays so. "" means unknown, as for a file that was changed so lately that the kernel may give a
// change that follows the same time.
func (r *Reader) Fingerprint() string { return data.Fingerprint(r.file) }

// Close implements io.Closer.
func (r *Reader) Close() error {
	if err := r.file.Close(); err != nil {
		return fmt.Errorf("file: close %s: %w", r.id, err)
	}
	return nil
}
