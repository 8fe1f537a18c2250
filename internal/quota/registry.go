package quota

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// Registry refuses bytes before they are received, when there is no room for them. What is pushed is decided by the Book, which the
// registry below has as its scales.
type Registry struct {
	registry.Registry
	book *Book
}

// New returns a Registry over next, whose Config.Scales is book.
func New(next registry.Registry, book *Book) *Registry { return &Registry{Registry: next, book: book} }

// StartUpload implements registry.Uploads.
func (r *Registry) StartUpload(ctx context.Context, repo oci.Repository, alg digest.Algorithm) (registry.Upload, error) {
	if err := r.book.Room(ctx, repo, 1); err != nil {
		return registry.Upload{}, err
	}
	return r.Registry.StartUpload(ctx, repo, alg)
}

// AppendUpload implements registry.Uploads.
func (r *Registry) AppendUpload(ctx context.Context, repo oci.Repository, id string, chunk registry.Chunk) (up registry.Upload, err error) {
	err = r.bounded(ctx, repo, &chunk, func() error {
		up, err = r.Registry.AppendUpload(ctx, repo, id, chunk)
		return err
	})
	return up, err
}

// CommitUpload implements registry.Uploads. One without a last chunk may be a repeated one, and is not refused here.
func (r *Registry) CommitUpload(ctx context.Context, repo oci.Repository, id string, d oci.Digest, last registry.Chunk) error {
	if last.Body == nil || last.Size == 0 {
		return r.Registry.CommitUpload(ctx, repo, id, d, last)
	}
	return r.bounded(ctx, repo, &last, func() error { return r.Registry.CommitUpload(ctx, repo, id, d, last) })
}

// PushBlob implements registry.Blobs.
func (r *Registry) PushBlob(ctx context.Context, repo oci.Repository, d oci.Digest, body io.Reader, size int64) error {
	chunk := registry.Chunk{Start: -1, Size: size, Body: body}
	return r.bounded(ctx, repo, &chunk, func() error { return r.Registry.PushBlob(ctx, repo, d, chunk.Body, size) })
}

// bounded receives a chunk by receive, unless its announced end is beyond the room that there is, and cuts a body without an end there.
func (r *Registry) bounded(ctx context.Context, repo oci.Repository, chunk *registry.Chunk, receive func() error) error {
	if err := r.book.Room(ctx, repo, max(chunk.Start, 0)+max(chunk.Size, 1)); err != nil {
		return err
	}
	left, err := r.book.room(repo, 1)
	if err != nil {
		return err
	}
	if left < 0 || chunk.Body == nil || chunk.Size >= 0 {
		return receive()
	}
	body := &cut{from: chunk.Body, left: left, refusal: func() error {
		if _, err := r.book.room(repo, left+1); err != nil {
			return err
		}
		return errFilled
	}}
	chunk.Body = body
	if err = receive(); body.refused != nil {
		return body.refused
	}
	return err
}

// errFilled is a body that had more bytes than there was room for when it began.
var errFilled = oci.Errorf(oci.Denied, "the body is larger than what is left of the quota")

// cut reads up to left bytes, and fails then.
type cut struct {
	from    io.Reader
	left    int64
	refusal func() error
	refused error
}

// Read implements io.Reader.
func (c *cut) Read(p []byte) (int, error) {
	if c.refused != nil {
		return 0, c.refused
	}
	n, err := c.from.Read(p)
	if c.left -= int64(n); c.left < 0 {
		c.refused = c.refusal()
		return 0, c.refused
	}
	return n, err
}
