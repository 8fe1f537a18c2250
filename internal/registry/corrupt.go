package registry

import (
	"context"
	"strings"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// foundCorrupt marks what a reader found, though the reader may have left.
func (l *Local) foundCorrupt(ctx context.Context, d oci.Digest, damaged []segment) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	marked, err := l.MarkCorrupt(ctx, d, damaged)
	if marked {
		l.log.ErrorContext(ctx, "a blob's stored bytes are not its digest's; it is marked corrupt, pushing it again repairs it", "digest", d)
	}
	return err
}

// MarkCorrupt makes known that a blob's bytes at rest are not its digest's: it swaps the record of d, then every link of it to corrupt. From then on a GET of the blob is 503 and a HEAD 404, so that clients push it again, which installs
// new segments and heals it. Other repositories' links are healed by pushes or mounts of their own.
//
// damaged are the segments, all of the blob and in order, whose bytes the caller has read and found wrong, short or missing, as the record of d
// named them. Nothing is marked when the record does not name them any more: it is doomed or dead, or it was healed, and then links that
// were forgotten take what it names now. A caller who has
// found a segment missing is right while the record names it: segments leave only under a doomed record, and ids are never used again.
// An unavailable store is no reason to call.
//
// It reports whether the record is corrupt, by this call or by one before, also beside an error. When it fails, or the process dies, between the
// record and its links, some links still look whole: the same call goes on with them. It logs nothing.
func (l *Local) MarkCorrupt(ctx context.Context, d oci.Digest, damaged []segment) (marked bool, err error) {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	if marked, err = l.markRecordCorrupt(ctx, format.BlobKey(d), damaged); err != nil {
		return marked, err
	}
	if !marked {
		return false, l.moveLinksOn(ctx, d, damaged)
	}
	for entry, err := range l.records.List(ctx, format.LinkPrefix(d), "") {
		if err != nil {
			return true, err
		}
		if entry.Size == format.DeadSize {
			continue // a push that brings it back reads the record, which is corrupt, afterwards
		}
		if err := l.markLinkCorrupt(ctx, d, entry.Key, damaged); err != nil {
			return true, err
		}
		if err := l.passLink(ctx, d, entry.Key); err != nil {
			return true, err
		}
	}
	return true, nil
}

// markRecordCorrupt marks a record that names damaged segments, and reports whether it is corrupt now.
func (l *Local) markRecordCorrupt(ctx context.Context, key record.Key, damaged []segment) (bool, error) {
	rec, err := read[blobHead](ctx, l, key)
	for range rounds(ctx) {
		switch {
		case err != nil && !isConflict(err):
			return false, err
		case !rec.Is(live, condemned, corrupt) || !sameSegments(rec.Head.Segments, damaged):
			return false, nil // dead, or repaired by somebody else
		case rec.Is(corrupt):
			return true, nil
		}
		if rec, err = swap(ctx, l, key, rec, corrupt); err == nil {
			return true, nil
		}
	}
	return false, errContended("mark a blob record")
}

// moveLinksOn gives links that still name segments of a record that was healed since the segments that it names now: whoever marked the record
// died before he came to them, and a push to their repository takes them for whole.
func (l *Local) moveLinksOn(ctx context.Context, d oci.Digest, damaged []segment) error {
	for entry, err := range l.records.List(ctx, format.LinkPrefix(d), "") {
		if err != nil {
			return err
		}
		if entry.Size == format.DeadSize {
			continue
		}
		link, err := read[linkHead](ctx, l, entry.Key)
		if err != nil {
			return err
		}
		if !link.Present() {
			continue
		}
		if !sameSegments(link.Head.Segments, damaged) { // moved on by now: who named the damaged ones may remember what it was
			if err := l.passLink(ctx, d, entry.Key); err != nil {
				return err
			}
			continue
		}
		// Read after the link: while that is as it was, the record is in the life that the link holds.
		rec, err := read[blobHead](ctx, l, format.BlobKey(d))
		if err != nil || !rec.Is(live) || sameSegments(rec.Head.Segments, damaged) {
			return err
		}
		head := link.Head
		head.Segments = rec.Head.Segments
		if _, err := write(ctx, l, entry.Key, link, head, nil, false); err != nil && !isConflict(err) {
			return err
		}
		if err := l.passLink(ctx, d, entry.Key); err != nil {
			return err
		}
	}
	return nil
}

// passLink raises the fence of a link's repository, once the link is not what it was: who remembers it as live looks again.
func (l *Local) passLink(ctx context.Context, d oci.Digest, key record.Key) error {
	return l.raiseFence(ctx, format.UnescapeRepository(strings.TrimPrefix(string(key), string(format.LinkPrefix(d)))))
}

// markLinkCorrupt marks a link of a damaged record. One that names other segments was made from the record before those were merged, and is
// marked while the record is corrupt, or after it was healed, and stays. A pending one is renewed: whoever is about to make it live may
// have seen the record before it was corrupt, loses his swap, and looks again.
func (l *Local) markLinkCorrupt(ctx context.Context, d oci.Digest, key record.Key, damaged []segment) error {
	link, err := read[linkHead](ctx, l, key)
	for range rounds(ctx) {
		if err != nil && !isConflict(err) {
			return err
		}
		to := corrupt
		switch {
		case link.Is(pending):
			to = pending
		case !link.Present():
			return nil
		case !sameSegments(link.Head.Segments, damaged):
			rec, err := read[blobHead](ctx, l, format.BlobKey(d))
			if err != nil || !rec.Is(corrupt) {
				return err
			}
		}
		if link, err = swap(ctx, l, key, link, to); err == nil {
			return nil
		}
	}
	return errContended("mark a link")
}

func sameSegments(a, b []segment) bool {
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
