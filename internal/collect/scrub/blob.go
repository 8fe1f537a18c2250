package scrub

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// looks is how often a blob is read that is found damaged, or whose record changes: damage must be seen twice under one record.
const looks = 4

// finding is what is wrong with the bytes that were read.
type finding struct {
	kind    Kind
	segment data.ID // "" when it may be any of several
}

// checkBlob checks the bytes of a blob record, and marks the blob when they are not its digest's. Damage is what was read twice, with a look
// at the record before each and, in MarkCorrupt, after: a blob that was deleted, repaired or merged meanwhile has none.
func (r *round) checkBlob(ctx context.Context, entry record.Entry) (answered bool, err error) {
	d, err := digestOf(entry.Key, format.BlobKey)
	if err != nil {
		r.tell(ctx, Damage{Kind: Record, Key: string(entry.Key)}, err)
		return false, nil
	}
	var found *finding
	var under []format.Segment
	for range looks {
		rec, err := read[format.Blob](ctx, r, entry.Key)
		switch {
		case unreadable(ctx, err):
			r.tell(ctx, Damage{Kind: Record, Key: string(entry.Key), Digest: d}, err)
			return true, nil
		case err != nil:
			return false, err
		case rec.Is(format.Corrupt):
			return false, r.checkMarked(ctx, entry.Key, d, rec.Head.Segments)
		case !rec.Present():
			return false, nil // dead, about to be, or never there
		}
		now, err := r.verify(ctx, d, rec.Head)
		switch {
		case err != nil:
			return false, err
		case now == nil:
			if found != nil {
				r.deps.Log.WarnContext(ctx, "scrub: a blob was read damaged once, and whole when it was read again", "digest", d)
			}
			r.count()
			return rec.Head.Size > 0, nil
		case found != nil && sameSegments(under, rec.Head.Segments):
			r.count()
			return true, r.mark(ctx, entry.Key, d, rec.Head.Segments, now)
		}
		found, under = now, rec.Head.Segments
	}
	r.skip(1)
	return true, nil
}

func (r *round) count() {
	r.progress.Report.Records++
	r.deps.Counters.Records.Add(1)
}

// verify reads a blob as readers do: as many bytes as its record says, from its segments in order. nil: they are its digest's. An
// error means that the store gave no answer.
func (r *round) verify(ctx context.Context, d oci.Digest, rec format.Blob) (*finding, error) {
	h := d.Algorithm().Hash()
	left := rec.Size
	for _, s := range rec.Segments {
		n := min(s.Size, left)
		if n <= 0 {
			continue
		}
		kind, err := r.readSegment(ctx, s.ID, n, h)
		if err != nil {
			return nil, err
		}
		if kind != "" {
			return &finding{kind, s.ID}, nil
		}
		left -= n
		r.progress.Report.Segments++
	}
	switch {
	case left > 0:
		return &finding{kind: Short}, nil // the segments are, taken together
	case digest.NewDigest(d.Algorithm(), h) == d:
		return nil, nil //nolint:nilnil // nothing is wrong
	case len(rec.Segments) == 1:
		return &finding{Altered, rec.Segments[0].ID}, nil
	default:
		return &finding{kind: Altered}, nil
	}
}

// readSegment reads length bytes of a segment into h, in pieces of the buffer. kind is what the store answered for want of them, or "".
func (r *round) readSegment(ctx context.Context, id data.ID, length int64, h hash.Hash) (kind Kind, err error) {
	if err := r.requests.Wait(ctx); err != nil {
		return "", fmt.Errorf("scrub: wait: %w", err)
	}
	body, err := r.deps.Data.Open(ctx, id, 0, length)
	if err != nil {
		return lack(err)
	}
	defer func() {
		if closeErr := body.Close(); closeErr != nil && err == nil && kind == "" {
			err = fmt.Errorf("scrub: close segment %s: %w", id, closeErr)
		}
	}()
	for length > 0 {
		piece := r.buffer[:min(length, bufferBytes)]
		if err := r.pace(ctx, int64(len(piece))); err != nil {
			return "", err
		}
		n, err := io.ReadFull(body, piece)
		h.Write(piece[:n])
		length -= int64(n)
		r.progress.Report.Bytes += int64(n)
		r.deps.Counters.Bytes.Add(int64(n))
		if err != nil {
			return lack(err)
		}
	}
	return "", nil
}

// lack tells what a segment lacks, by the store's own answer, from a store that gave none.
func lack(err error) (Kind, error) {
	switch {
	case errors.Is(err, data.ErrUnavailable):
	case errors.Is(err, data.ErrNotFound):
		return Missing, nil
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return Short, nil
	}
	return "", fmt.Errorf("scrub: read a segment: %w", err)
}

// mark marks a blob whose bytes were seen damaged twice, and tells of it.
func (r *round) mark(ctx context.Context, key record.Key, d oci.Digest, segments []format.Segment, f *finding) error {
	if r.cfg.MaxDamaged > 0 && r.marked >= r.cfg.MaxDamaged {
		return fmt.Errorf("%w (%d were marked)", ErrTooMuch, r.marked)
	}
	marked, err := r.deps.Registry.MarkCorrupt(ctx, d, segments)
	if err != nil || !marked {
		return err
	}
	// Dies here: the next round, or who goes on with this one, finds it marked and tells of it.
	r.marked++
	return r.tellOfBlob(ctx, Damage{Kind: f.kind, Digest: d, Key: string(key), Segment: f.segment})
}

// checkMarked tells of a blob that was found damaged before, while a repository still has it, and finishes what whoever found it may have
// left undone.
func (r *round) checkMarked(ctx context.Context, key record.Key, d oci.Digest, segments []format.Segment) error {
	marked, err := r.deps.Registry.MarkCorrupt(ctx, d, segments)
	if err != nil || !marked {
		return err
	}
	damage := Damage{Kind: Marked, Digest: d, Key: string(key)}
	if len(segments) == 1 {
		damage.Segment = segments[0].ID
	}
	return r.tellOfBlob(ctx, damage)
}

// digestOf returns the digest that a record's key is of. Errors: it is no such key.
func digestOf(key record.Key, keyOf func(oci.Digest) record.Key) (oci.Digest, error) {
	part := string(key[strings.LastIndexByte(string(key), '/')+1:])
	d, err := format.PartDigest(part)
	if err == nil && keyOf(d) != key {
		err = fmt.Errorf("scrub: %s is no key of the storage format", key)
	}
	return d, err
}

func sameSegments(a, b []format.Segment) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].ID != b[i].ID {
			return false
		}
	}
	return true
}
