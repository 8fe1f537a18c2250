package registry

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/format"
	"holdfast/internal/oci"
)

// maxSegments is how many segments an upload may have: beyond it chunks are too small.
const maxSegments = 10000

// hashVersion names the form of a saved hash state: Go's encoding of crypto/sha256 and crypto/sha512.
const hashVersion = 1

// StartUpload implements Uploads: the id says everything, nothing is written.
func (l *Local) StartUpload(ctx context.Context, repo oci.Repository, alg digest.Algorithm) (Upload, error) {
	if err := l.checkName(repo); err != nil {
		return Upload{}, err
	}
	return l.renewed(ctx, repo, token{id: format.RandomID(), algorithm: alg}, 0), nil
}

// UploadStatus implements Uploads.
func (l *Local) UploadStatus(ctx context.Context, repo oci.Repository, id string) (Upload, error) {
	t, s, err := l.session(ctx, repo, id, true)
	if err != nil {
		return Upload{}, err
	}
	t.written = t.written || s.Exists()
	return l.renewed(ctx, repo, t, s.Head.Offset), nil
}

// session verifies an id and reads its session. Straight after StartUpload there is none: a zero session is
// open at offset 0, and unless look is set it is not even looked for. Errors: BLOB_UPLOAD_UNKNOWN for a
// session that has ended.
func (l *Local) session(ctx context.Context, repo oci.Repository, id string, look bool) (token, stored[uploadHead], error) {
	t, err := l.unseal(ctx, repo, id)
	if err != nil {
		return t, stored[uploadHead]{}, err
	}
	s, err := l.lookUp(ctx, t, look)
	if err == nil {
		err = checkOpen(t, s)
	}
	return t, s, err
}

func (l *Local) lookUp(ctx context.Context, t token, look bool) (stored[uploadHead], error) {
	if !t.written && !look {
		return stored[uploadHead]{}, nil
	}
	return read[uploadHead](ctx, l, format.UploadKey(t.id))
}

func checkOpen(t token, s stored[uploadHead]) error {
	switch {
	case s.Is(open), !s.Exists() && !t.written:
		return nil
	case s.Is(done):
		return errUploadUnknown("this upload is finished")
	case s.Is(aborted):
		return errUploadUnknown("this upload was cancelled")
	}
	return errUploadUnknown("no such upload")
}

// AppendUpload implements Uploads: the chunk becomes new segments, and one write of the session makes them
// count, the hash state with them. A crash, or a connection that breaks, before that write leaves the
// upload as it was.
func (l *Local) AppendUpload(ctx context.Context, repo oci.Repository, id string, chunk Chunk) (Upload, error) {
	t, s, err := l.session(ctx, repo, id, chunk.Start > 0)
	if err != nil {
		return Upload{}, err
	}
	if chunk.Start >= 0 && chunk.Start != s.Head.Offset {
		t.written = t.written || s.Exists()
		return Upload{}, &OffsetError{Upload: l.renewed(ctx, repo, t, s.Head.Offset)}
	}
	h, err := restoreHash(t.algorithm, s.Head)
	if err != nil {
		return Upload{}, err
	}
	w := &segmentWriter{store: l.data}
	n, err := l.receive(ctx, w, chunk, h, s.Head.Offset)
	if err == nil {
		err = w.finish(ctx)
	}
	if err == nil && len(s.Head.Segments)+len(w.segments) > maxSegments {
		err = oci.Errorf(oci.BlobUploadInvalid, "an upload has at most %d chunks: send larger ones", maxSegments)
	}
	if err != nil {
		w.discard(ctx)
		return Upload{}, err
	}
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	next, err := grown(s, repo, t.algorithm, w.segments, n, h)
	if err != nil {
		return Upload{}, err
	}
	now, err := write(ctx, l, format.UploadKey(t.id), s, next, nil, false)
	if isConflict(err) {
		w.discard(ctx) // a definite loss: no write names them
		t.written = true
		if err := checkOpen(t, now); err != nil {
			return Upload{}, err
		}
		return Upload{}, &OffsetError{Upload: l.renewed(ctx, repo, t, now.Head.Offset)}
	}
	if err != nil {
		return Upload{}, err // the write may have happened: its segments stay
	}
	t.written = true
	l.wrote(t, now)
	return l.renewed(ctx, repo, t, next.Offset), nil
}

// receive stores a chunk's body through h, and checks its announced size.
func (l *Local) receive(ctx context.Context, w *segmentWriter, chunk Chunk, h hash.Hash, offset int64) (int64, error) {
	if chunk.Body == nil {
		return 0, nil
	}
	limit, most := int64(-1), l.maxBlob.Load()
	if most > 0 {
		limit = most - offset
	}
	if limit >= 0 && chunk.Size > limit {
		return 0, errTooLarge(most)
	}
	if chunk.Size >= 0 && chunk.Size < math.MaxInt64 {
		chunk.Body = io.LimitReader(chunk.Body, chunk.Size+1) // more than was announced is not stored to its end
	}
	begun := l.records.Now()
	n, err := w.fill(ctx, chunk.Body, h, limit)
	if err == nil && l.records.Now().Sub(begun) > l.ages.Session {
		err = oci.Errorf(oci.BlobUploadInvalid, "the body took more than %s: send it in chunks", l.ages.Session) // the collector may have ended it
	}
	if limit >= 0 && n > limit {
		return n, errTooLarge(most) // what the whole blob may have, not what was left of it
	}
	if err == nil && chunk.Size >= 0 && n != chunk.Size {
		err = oci.Errorf(oci.SizeInvalid, "the body has %d bytes, %d were announced", n, chunk.Size)
	}
	return n, err
}

func restoreHash(alg digest.Algorithm, head uploadHead) (hash.Hash, error) {
	h := alg.Hash()
	if head.Offset == 0 {
		return h, nil
	}
	if head.HashVersion != hashVersion || head.Algorithm != string(alg) {
		return nil, fmt.Errorf("registry: an upload's hash state is of version %d for %s, this version reads %d for %s", head.HashVersion, head.Algorithm, hashVersion, alg)
	}
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(head.Hash); err != nil {
		return nil, fmt.Errorf("registry: an upload's hash state: %w", err)
	}
	return h, nil
}

// grown is the session after n more bytes.
func grown(s stored[uploadHead], repo oci.Repository, alg digest.Algorithm, segments []segment, n int64, h hash.Hash) (uploadHead, error) {
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return uploadHead{}, fmt.Errorf("registry: save an upload's hash state: %w", err)
	}
	next := uploadHead{
		Repository: repo, Algorithm: string(alg), Offset: s.Head.Offset + n,
		Hash: state, HashVersion: hashVersion,
		Segments: append(append([]segment{}, s.Head.Segments...), segments...),
	}
	next.State = open
	return next, nil
}

// CancelUpload implements Uploads: from then on the id is dead at every replica, also for a request that is on its way.
func (l *Local) CancelUpload(ctx context.Context, repo oci.Repository, id string) error {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	t, s, err := l.session(ctx, repo, id, true)
	for range rounds(ctx) {
		if err != nil {
			return err
		}
		head := s.Head
		head.Repository, head.Algorithm, head.State = repo, string(t.algorithm), aborted
		if s, err = write(ctx, l, format.UploadKey(t.id), s, head, nil, false); err == nil {
			return nil
		}
		if isConflict(err) {
			t.written = true
			err = checkOpen(t, s)
		}
	}
	return errContended("cancel an upload")
}

// sumBack hashes what an upload's segments hold, for a digest of another algorithm than was announced.
func (l *Local) sumBack(ctx context.Context, segments []segment, size int64, alg digest.Algorithm) (oci.Digest, error) {
	r, err := openSegments(ctx, l.data, segments, 0, size)
	if err != nil {
		return "", err
	}
	h := alg.Hash()
	_, err = io.Copy(h, r)
	if err = errors.Join(err, r.Close()); err != nil {
		return "", err
	}
	return digest.NewDigest(alg, h), nil
}
