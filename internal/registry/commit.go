package registry

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// maxReadBack bounds what a commit reads back to hash it, when the digest is of another algorithm than
// was announced by digest-algorithm.
const maxReadBack = 1 << 30

// CommitUpload implements Uploads.
func (l *Local) CommitUpload(ctx context.Context, repo oci.Repository, id string, d oci.Digest, last Chunk) error {
	t, err := l.unseal(ctx, repo, id)
	if err != nil {
		return err
	}
	if last.Body == nil || last.Size == 0 {
		return l.commitAsItIs(ctx, repo, d, t, last)
	}
	s, err := l.lookUp(ctx, t, true)
	if err != nil {
		return err
	}
	if s.Is(done) && s.Head.Digest == d {
		return l.commitAsItIs(ctx, repo, d, t, Chunk{Start: -1}) // its last bytes came before
	}
	if err := checkOpen(t, s); err != nil {
		return l.repeated(ctx, repo, d, s, err)
	}
	return l.commitWithBody(ctx, repo, d, t, s, last)
}

// commitAsItIs commits an upload whose bytes are all there: the session is read while the link is put.
func (l *Local) commitAsItIs(ctx context.Context, repo oci.Repository, d oci.Digest, t token, last Chunk) error {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	if s, ok := l.recallSession(t, d, last); ok {
		if err := l.commitRecalled(ctx, repo, d, t, s); !errors.Is(err, errOvertaken) {
			return err
		}
	}
	c := &commit{l: l, repo: repo, digest: d}
	var s stored[uploadHead]
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		s, err = l.lookUp(gctx, t, true)
		return err
	})
	g.Go(func() error { return c.putLink(gctx) })
	if err := g.Wait(); err != nil {
		return err
	}
	if s.Is(done) && s.Head.Digest == d {
		return l.resume(ctx, c, t, s)
	}
	if err := checkOpen(t, s); err != nil {
		return l.repeated(ctx, repo, d, s, err)
	}
	if last.Start >= 0 && last.Start != s.Head.Offset {
		t.written = t.written || s.Exists()
		return &OffsetError{Upload: l.renewed(ctx, repo, t, s.Head.Offset)}
	}
	h, err := restoreHash(t.algorithm, s.Head)
	if err != nil {
		return err
	}
	c.segments, c.size = s.Head.Segments, s.Head.Offset
	sum := digest.NewDigest(t.algorithm, h)
	if d.Algorithm() != t.algorithm {
		if sum, err = l.otherSum(ctx, c.segments, c.size, d); err != nil {
			return err
		}
	}
	if err := checkSum(sum, d); err != nil {
		return err
	}
	claimed, ours, err := l.claim(ctx, repo, t, s, d, c.segments, c.size)
	if err != nil {
		return err
	}
	if !ours {
		return l.resume(ctx, c, t, claimed)
	}
	return c.settle(ctx)
}

// claim ends a session for good as the blob d of segments, before a record names them: of several commits of one
// session, with different last chunks or racing with a PATCH, one gets the segments, so that no two records ever share
// one; and an upload that came in one request ends like any other. When another request has claimed the session for the
// same digest it returns the session, which is not ours, and to be resumed.
func (l *Local) claim(ctx context.Context, repo oci.Repository, t token, s stored[uploadHead], d oci.Digest, segments []segment, size int64) (claimed stored[uploadHead], ours bool, err error) {
	head := s.Head
	head.Repository, head.Algorithm = repo, string(t.algorithm)
	head.State, head.Digest, head.Hash, head.Segments, head.Offset = done, d, nil, segments, size
	now, err := write(ctx, l, format.UploadKey(t.id), s, head, nil, false)
	switch {
	case !isConflict(err):
		return now, true, err
	case now.Is(done) && now.Head.Digest == d:
		return now, false, nil
	case now.Is(open):
		t.written = true
		return now, false, &OffsetError{Upload: l.renewed(ctx, repo, t, now.Head.Offset)}
	}
	return now, false, checkOpen(t, now)
}

// resume answers a commit of a session that is done with the same digest: one that was sent again, or one whose
// first attempt died before the blob was there, or whose blob was deleted since. Its segments are
// looked for before they are installed, as the collector may have taken them.
func (l *Local) resume(ctx context.Context, c *commit, t token, s stored[uploadHead]) error {
	c.segments, c.size, c.cautious = s.Head.Segments, s.Head.Offset, true
	if c.link.Present() {
		link, err := l.keepLink(ctx, format.LinkKey(c.repo, c.digest), c.link)
		if err != nil || link.Present() {
			return err
		}
		if err := c.putLink(ctx); err != nil { // it was deleted meanwhile
			return err
		}
	}
	// Renewed, so that its age does not make the collector take the segments meanwhile.
	now, err := swap(ctx, l, format.UploadKey(t.id), s, done)
	if err != nil && !isConflict(err) {
		return err
	}
	if !now.Is(done) || now.Head.Digest != c.digest {
		return errUploadUnknown("this upload is finished")
	}
	err = c.settle(ctx)
	if errors.Is(err, errSegmentGone) {
		return l.abandon(ctx, t, now)
	}
	return err
}

// abandon ends an upload whose bytes were collected since they were a blob, so that the client begins anew
// instead of committing the same session for ever.
func (l *Local) abandon(ctx context.Context, t token, s stored[uploadHead]) error {
	if _, err := swap(ctx, l, format.UploadKey(t.id), s, aborted); err != nil && !isConflict(err) {
		return err
	}
	return errUploadUnknown("this upload was finished, and its blob deleted since")
}

// commitWithBody commits an upload whose last bytes come now. The link is put while the last segment
// becomes durable, after the last byte was received, so no link waits for a slow body.
func (l *Local) commitWithBody(ctx context.Context, repo oci.Repository, d oci.Digest, t token, s stored[uploadHead], last Chunk) error {
	if last.Start >= 0 && last.Start != s.Head.Offset {
		t.written = t.written || s.Exists()
		return &OffsetError{Upload: l.renewed(ctx, repo, t, s.Head.Offset)}
	}
	alg := t.algorithm
	if s.Head.Offset == 0 {
		alg = d.Algorithm() // everything comes now: hash it as it is wanted
	}
	h, err := restoreHash(alg, s.Head)
	if err != nil {
		return err
	}
	w := &segmentWriter{store: l.data}
	n, err := l.receive(ctx, w, last, h, s.Head.Offset)
	if err == nil && alg == d.Algorithm() {
		err = checkSum(digest.NewDigest(alg, h), d)
	}
	if err != nil {
		w.discard(ctx)
		return err
	}
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	c := &commit{l: l, repo: repo, digest: d, size: s.Head.Offset + n}
	if alg != d.Algorithm() {
		if err = w.finish(ctx); err == nil {
			var sum oci.Digest
			if sum, err = l.otherSum(ctx, joined(s.Head.Segments, w.segments), c.size, d); err == nil {
				err = checkSum(sum, d)
			}
		}
		if err != nil {
			w.discard(ctx)
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.finish(gctx) })
	g.Go(func() error { return c.putLink(gctx) })
	if err := g.Wait(); err != nil {
		w.discard(ctx)
		return err
	}
	c.segments = joined(s.Head.Segments, w.segments)
	if t.id == "" { // nobody else can know this upload
		return c.settle(ctx) // after an error the record may name the segments: they stay
	}
	claimed, ours, err := l.claim(ctx, repo, t, s, d, c.segments, c.size)
	if !ours { // lost for certain: nothing names what came last
		l.afterwards(ctx, "drop a segment", func(ctx context.Context) error { w.discard(ctx); return nil })
	}
	if err != nil {
		return err
	}
	if !ours {
		return l.resume(ctx, c, t, claimed)
	}
	return c.settle(ctx)
}

func joined(a, b []segment) []segment { return append(append([]segment{}, a...), b...) }

func checkSum(sum, want oci.Digest) error {
	if sum == want {
		return nil
	}
	return &oci.Error{Code: oci.DigestInvalid, Message: "the bytes that arrived have another digest", Detail: oci.Field{Field: "digest", Got: string(sum), Want: string(want)}}
}

// otherSum hashes an upload's bytes for a digest of an algorithm that was not announced.
func (l *Local) otherSum(ctx context.Context, segments []segment, size int64, d oci.Digest) (oci.Digest, error) {
	if size > maxReadBack {
		return "", oci.Errorf(oci.DigestInvalid, "a %s digest of more than %d bytes must be announced: POST with ?digest-algorithm=%s", d.Algorithm(), maxReadBack, d.Algorithm())
	}
	return l.sumBack(ctx, segments, size, d.Algorithm())
}

// repeated answers a PUT for an upload that is not open, and not done with the same digest: when the session
// was removed since, the same PUT succeeds while the blob is there. Else the answer says why it is not open.
func (l *Local) repeated(ctx context.Context, repo oci.Repository, d oci.Digest, s stored[uploadHead], notOpen error) error {
	// The collector ends one whose bytes another upload of the same blob had brought before.
	if s.Exists() && (!s.Is(aborted) || s.Head.Digest != d) {
		return notOpen
	}
	_, err := l.StatBlob(ctx, repo, d)
	if errors.Is(err, oci.ErrBlobUnknown) {
		return notOpen
	}
	return err
}

// PushBlob implements Blobs: a commit without a session.
func (l *Local) PushBlob(ctx context.Context, repo oci.Repository, d oci.Digest, body io.Reader, size int64) error {
	if err := l.checkName(repo); err != nil {
		return err
	}
	return l.commitWithBody(ctx, repo, d, token{algorithm: d.Algorithm()}, stored[uploadHead]{}, Chunk{Start: -1, Size: size, Body: body})
}

// commit turns durable segments into a blob of a repository. The order is what the proofs rest on:
// segments durable, link pending, then the record is looked at, then the link goes live.
type commit struct {
	l        *Local
	repo     oci.Repository
	digest   oci.Digest
	segments []segment
	size     int64

	link      stored[linkHead]
	installed bool // our segments were put into the record: at most once in a request
	cautious  bool // the segments may be gone: they are looked for before every installation
}

// putLink makes sure that the link is pending, or present already.
func (c *commit) putLink(ctx context.Context) error {
	key := format.LinkKey(c.repo, c.digest)
	var old stored[linkHead]
	for range rounds(ctx) {
		head := linkHead{}
		head.State = pending
		link, err := writeOrFind(ctx, c.l, key, old, head, nil, false)
		if err != nil && !isConflict(err) {
			return err
		}
		c.link = link
		if err == nil || link.Is(pending, live, condemned) {
			return nil
		}
		old = link // dead, corrupt or void: swap it to pending
	}
	return errContended("link a blob")
}

// settle runs from the pending link to the live one.
func (c *commit) settle(ctx context.Context) (failed error) {
	defer func() {
		if failed != nil {
			c.l.changed(c.repo, c.digest) // the record may have nobody: what there was no room for, in the end
		}
	}()
	key := format.LinkKey(c.repo, c.digest)
	for round := range rounds(ctx) {
		if round > 0 {
			if err := c.putLink(ctx); err != nil {
				return err
			}
		}
		if c.link.Present() {
			link, err := c.l.keepLink(ctx, key, c.link)
			if err != nil {
				return err
			}
			if link.Present() {
				return nil
			}
			continue
		}
		rec, err := c.install(ctx)
		if err != nil {
			return err
		}
		head := linkHead{Size: rec.Head.Size, Segments: rec.Head.Segments}
		head.State = live
		if c.link, err = writeOrFind(ctx, c.l, key, c.link, head, nil, false); err == nil {
			c.l.changed(c.repo, c.digest)
			if len(rec.Head.Segments) > format.ManySegments {
				c.l.changed("", c.digest)
			}
			return nil
		}
		if !isConflict(err) {
			return err
		}
		if c.link.Is(live) {
			return nil // another push of the same blob to the same repository finished it
		}
		if maybeWritten(err) {
			return err // ours may have been there, and deleted since: whether to push again is not ours to decide
		}
	}
	return errContended("link a blob")
}

// install makes sure that the blob record is live, with the segments of whoever came first.
func (c *commit) install(ctx context.Context) (stored[blobHead], error) {
	key := format.BlobKey(c.digest)
	ours := blobHead{Size: c.size, Segments: c.segments}
	ours.State = live
	var rec stored[blobHead]
	var err error
	if c.installed || c.cautious {
		rec, err = read[blobHead](ctx, c.l, key)
	} else if rec, err = writeOrFind(ctx, c.l, key, rec, ours, nil, true); err == nil {
		c.installed = true
		return rec, nil
	}
	c.installed = c.installed || maybeWritten(err)
	for range rounds(ctx) {
		if err != nil && !isConflict(err) {
			return rec, err
		}
		switch {
		case rec.Is(live):
			return rec, nil
		case rec.Is(condemned):
			if rec, err = swap(ctx, c.l, key, rec, live); err == nil {
				return rec, nil
			}
		case rec.Is(doomed):
			rec, err = c.l.helpKill(ctx, key, rec)
		default: // dead, corrupt, void, or purged meanwhile
			if rec, err = c.reinstall(ctx, rec, ours); err == nil {
				return rec, nil
			}
		}
	}
	return rec, errContended("store a blob record")
}

// reinstall puts our segments into a record that was dead. They must exist still, looked at after the
// record was read, and be installed only once: else a record could name what the collector deleted.
func (c *commit) reinstall(ctx context.Context, rec stored[blobHead], ours blobHead) (stored[blobHead], error) {
	if c.installed {
		return rec, fmt.Errorf("registry: %s was collected while it was pushed: %w", c.digest, errRetry)
	}
	if rec.Is(corrupt) && len(c.segments) > 0 && sameSegments(rec.Head.Segments, c.segments) {
		return rec, errUploadUnknown("the stored bytes of this upload were found damaged: begin anew")
	}
	for _, s := range c.segments {
		if _, err := c.l.data.Stat(ctx, s.ID); err != nil {
			if errors.Is(err, data.ErrNotFound) {
				err = fmt.Errorf("%w: %w", errSegmentGone, errRetry)
			}
			return rec, fmt.Errorf("registry: look at a segment of %s: %w", c.digest, err)
		}
	}
	rec, err := writeOrFind(ctx, c.l, format.BlobKey(c.digest), rec, ours, nil, true)
	c.installed = c.installed || err == nil || maybeWritten(err)
	return rec, err
}

// errSegmentGone is a segment of an upload that was collected: the upload has been a blob that was deleted.
var errSegmentGone = errors.New("a segment is gone")

// errRetry is an upload that cannot be finished and may be sent again.
var errRetry = oci.Errorf(oci.Unavailable, "the upload was overtaken: send it again")

// helpKill finishes what a collector began with a doomed record, so that a push need not wait for it.
// Returns a conflict, always, and the record as it is then: the caller looks again.
func (l *Local) helpKill(ctx context.Context, key record.Key, rec stored[blobHead]) (stored[blobHead], error) {
	for _, s := range joined(rec.Head.Segments, rec.Head.Old) {
		if err := l.data.Delete(ctx, s.ID); err != nil {
			return rec, fmt.Errorf("registry: delete a doomed segment: %w", err)
		}
	}
	head := blobHead{}
	head.State = dead
	now, err := write(ctx, l, key, rec, head, nil, false)
	if err == nil {
		err = fmt.Errorf("registry: %s is dead now: %w", key, record.ErrConflict)
	}
	return now, err
}
