package registry

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

func errBlobUnknown(d oci.Digest) error {
	return &oci.Error{Code: oci.BlobUnknown, Message: "the repository does not have this blob", Detail: oci.Field{Field: "digest", Got: string(d)}}
}

func errDamaged(d oci.Digest) error {
	return oci.Errorf(oci.Unavailable, "the stored bytes of %s are damaged: push it again to repair it", d)
}

// Blob implements Blobs with one request, and one beside it under ExpectWhole, which is that of the blob's Open.
func (l *Local) Blob(ctx context.Context, repo oci.Repository, d oci.Digest) (*Blob, error) {
	begun := l.openEarly(ctx, d)
	link, err := read[linkHead](format.RecallLink(ctx), l, format.LinkKey(repo, d))
	switch {
	case err != nil:
	case link.Is(corrupt):
		err = errDamaged(d)
	case !link.Present():
		err = errBlobUnknown(d)
	}
	if err != nil {
		begun.drop()
		return nil, err
	}
	bytes := l.bytes(d, link)
	bytes.begun = begun
	return &Blob{Digest: d, Size: link.Head.Size, Bytes: bytes}, nil
}

// StatBlob implements Blobs with one request, or two when the link is older than half the grace, or about to be collected.
func (l *Local) StatBlob(ctx context.Context, repo oci.Repository, d oci.Digest) (*Blob, error) {
	link, err := read[linkHead](format.RecallLink(ctx), l, format.LinkKey(repo, d))
	if err != nil {
		return nil, err
	}
	if link.Present() {
		link, err = l.keepLink(ctx, format.LinkKey(repo, d), link)
	}
	if err != nil {
		return nil, err
	}
	if !link.Present() {
		return nil, errBlobUnknown(d)
	}
	return l.blob(d, link), nil
}

func (l *Local) blob(d oci.Digest, link stored[linkHead]) *Blob {
	return &Blob{Digest: d, Size: link.Head.Size, Bytes: l.bytes(d, link)}
}

func (l *Local) bytes(d oci.Digest, link stored[linkHead]) *localBytes {
	return &localBytes{l: l, digest: d, size: link.Head.Size, segments: link.Head.Segments}
}

// keepLink makes sure of a present link: one that is older than half the grace is renewed, so that what a client was told exists survives
// until the manifest that it pushes next, and one that the collector has condemned is brought back. It returns the link as it is now,
// present or not.
func (l *Local) keepLink(ctx context.Context, key record.Key, link stored[linkHead]) (stored[linkHead], error) {
	for range rounds(ctx) {
		if !link.Present() || link.Is(live) && l.records.Now().Sub(link.Modified) < l.ages.Grace/2 {
			return link, nil
		}
		now, err := swap(ctx, l, key, link, live)
		if err == nil || !isConflict(err) {
			return now, err
		}
		link = now
	}
	return link, errContended("renew a link")
}

// localBytes are a blob's bytes in segments.
type localBytes struct {
	l        *Local
	digest   oci.Digest
	size     int64
	segments []segment
	begun    *early // nil when nobody began to read it
}

// URL implements BlobBytes for blobs of one segment, where Config.Redirects asks for it.
func (b *localBytes) URL(ctx context.Context, ttl time.Duration) (string, error) {
	if len(b.segments) != 1 || !b.l.urls(ctx, b.size) {
		return "", nil
	}
	url, err := b.l.data.PresignedURL(ctx, b.segments[0].ID, ttl)
	if errors.Is(err, data.ErrNoURL) {
		return "", nil
	}
	return url, err
}

// Open implements BlobBytes.
func (b *localBytes) Open(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	whole := offset == 0 && length == b.size
	r, err := b.open(ctx, offset, length, whole)
	if errors.Is(err, data.ErrNotFound) {
		// A repair or a merge may have moved the bytes since the link was written: the record knows.
		var rec stored[blobHead]
		if rec, err = read[blobHead](ctx, b.l, format.BlobKey(b.digest)); err != nil {
			return nil, err
		}
		if !rec.Present() {
			return nil, fmt.Errorf("registry: %s is linked, its blob record is %q and its bytes are gone: %w", b.digest, rec.State, errDamaged(b.digest))
		}
		b.segments = rec.Head.Segments
		r, err = b.open(ctx, offset, length, false)
	}
	if errors.Is(err, data.ErrNotFound) {
		cause := fmt.Errorf("registry: a segment of %s is gone: %w", b.digest, errDamaged(b.digest))
		return nil, errors.Join(cause, b.l.foundCorrupt(ctx, b.digest, b.segments))
	}
	if err != nil {
		return nil, err
	}
	if whole {
		b.l.served(b.digest, b.segments)
	}
	file, sendable := b.sendable(r, whole)
	switch {
	case !whole && sendable:
		return file, nil
	case !whole:
		return r, nil
	}
	v := &verifiedReader{ctx: ctx, bytes: b, r: r, rest: b.size, hash: b.digest.Algorithm().Hash()}
	if sendable {
		return &hashedReader{v, file}, nil
	}
	v.file, v.fingerprint = b.watched(r)
	v.keeper, v.kept = b.keeper(r), b.kept(r)
	return v, nil
}

// open is openSegments, or takes what Blob began to read.
func (b *localBytes) open(ctx context.Context, offset, length int64, whole bool) (*segmentReader, error) {
	if whole {
		if r := b.begun.take(b.segments); r != nil {
			return r, nil
		}
	}
	return openSegments(ctx, b.l.pulls, b.segments, offset, length)
}

// verifiedReader hashes a whole blob on its way, unless its bytes are in memory and were hashed on their way there. The read that would
// give its last byte fails when the bytes are not the digest's, so that a client never gets all of them.
type verifiedReader struct {
	ctx   context.Context //nolint:containedctx // marks the blob as corrupt within the read that found it
	bytes *localBytes
	r     *segmentReader
	rest  int64
	hash  hash.Hash

	file        data.FileReader // nil: the bytes are in no file, or in several
	fingerprint string          // of file before its first byte was read

	keeper data.KeepingReader // nil: nothing can be kept
	kept   data.KeptReader    // nil: the bytes are hashed
}

func (v *verifiedReader) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	if v.kept != nil {
		if proven := v.kept.Proof() != ""; proven || n == 0 {
			v.rest -= int64(n)
			return n, err
		}
		if err := v.catchUp(); err != nil {
			return 0, err
		}
	}
	v.hash.Write(p[:n])
	v.rest -= int64(n)
	// A store that is out of reach says nothing about the bytes, however its connection broke.
	short := v.rest > 0 && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) && !errors.Is(err, data.ErrUnavailable)
	wrong := v.rest <= 0 && (n > 0 || errors.Is(err, io.EOF)) && digest.NewDigest(v.bytes.digest.Algorithm(), v.hash) != v.bytes.digest
	if !short && !wrong {
		if v.rest == 0 && n > 0 {
			v.hashedAll()
		}
		return n, err
	}
	d := v.bytes.digest
	if v.r.distrust() {
		return 0, v.copyWasWrong()
	}
	cause := fmt.Errorf("registry: the stored bytes of %s are not its own (short: %t): %w", d, short, errDamaged(d))
	if markErr := v.bytes.l.foundCorrupt(v.ctx, d, v.bytes.segments); markErr != nil {
		cause = errors.Join(cause, markErr)
	}
	return 0, cause
}

func (v *verifiedReader) Close() error { return v.r.Close() }
