package s3

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Body is the body of a Get. It ends with io.ErrUnexpectedEOF when the connection breaks or the store
// sends nothing for ten seconds. The context of Get rules it; the caller closes it.
type Body struct {
	Info         // of the whole object
	Length int64 // of this body
	ctx    context.Context
	client *Client
	watch  *watch
	body   io.ReadCloser
	rest   int64
}

// Get reads length bytes from offset, or to the end when length is negative. Fewer come when the object ends
// before; see Body.Length. Kinds: NotFound, BadRange when the object ends at or before offset (an
// empty object has no range at all).
func (c *Client) Get(ctx context.Context, key string, offset, length int64) (*Body, error) {
	var body *Body
	err := c.do(ctx, metadata(opGetObject).on(key), func(w *watch) error {
		out, err := c.getObject(w, key, byteRange(offset, length)) //nolint:contextcheck // the watch's context descends from ctx
		if err != nil {
			return err
		}
		w.pause()
		b := &Body{ctx: ctx, client: c, watch: w, body: out.body}
		if err := b.describe(out, offset, length); err != nil {
			return errors.Join(err, out.body.Close())
		}
		body, w.kept = b, true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return body, nil
}

// describe checks that the answer is the range that was asked for.
func (b *Body) describe(out *answer, offset, length int64) error {
	bad := func(text string) error {
		return &Error{Op: opGetObject, Kind: Unavailable, Err: errors.New(text)}
	}
	if out.size < 0 {
		return bad("the answer has no length")
	}
	b.Length = out.size
	b.Info = Info{Size: b.Length, Version: version(out.etag), Modified: out.modified}
	if out.span != "" {
		start, size, ok := parseContentRange(out.span)
		if !ok || start != offset {
			return bad("the answer has another range than was asked for: " + out.span)
		}
		b.Size = size
	} else if offset != 0 {
		return bad("the store ignored the range")
	}
	if length >= 0 {
		b.Length = min(b.Length, length)
	}
	b.rest = b.Length
	return nil
}

// parseContentRange reads "bytes first-last/size".
func parseContentRange(s string) (start, size int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, total, ok := strings.Cut(s, "/")
	if !ok {
		return 0, 0, false
	}
	first, _, ok := strings.Cut(span, "-")
	if !ok {
		return 0, 0, false
	}
	start, err1 := strconv.ParseInt(first, 10, 64)
	size, err2 := strconv.ParseInt(total, 10, 64)
	return start, size, err1 == nil && err2 == nil
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	if b.rest == 0 {
		return 0, io.EOF
	}
	b.watch.expect(stallTime)
	n, err := b.body.Read(p[:min(int64(len(p)), b.rest)])
	b.watch.pause()
	b.rest -= int64(n)
	if err == nil || b.rest == 0 {
		return n, nil
	}
	if cause := b.ctx.Err(); cause != nil {
		return n, cause
	}
	b.client.breaker.failed(false, errShort)
	return n, io.ErrUnexpectedEOF
}

// Close frees the connection, for another request when the body was read to its end.
func (b *Body) Close() error {
	if b.rest == 0 {
		// The transport reuses the connection only when it has seen the end.
		b.watch.expect(stepTime)
		var end [1]byte
		_, _ = b.body.Read(end[:])
	}
	err := b.body.Close()
	b.watch.stop()
	if b.rest > 0 {
		return nil // given up on purpose
	}
	return err
}
