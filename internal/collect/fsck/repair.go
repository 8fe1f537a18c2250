package fsck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// attempts is how often a repair looks again after it has written, or has lost a race.
const attempts = 8

// repair mends a finding, if that needs no guess: it reads everything once more, and swaps under the versions that it read. did says what it wrote, ""
// when there was nothing left to do; mended is false when it cannot be mended, when others won every race, and when something was only marked
// corrupt: then it is for clients to push it again.
// A process that dies in between leaves what a next run finds and mends.
func (c *checker) repair(ctx context.Context, f Finding) (did string, mended bool, err error) {
	a, _ := parseKey(f.Keys[0])
	switch f.Kind {
	case RecordSegmentMissing, RecordSizeWrong:
		return c.markCorrupt(ctx, a.digest)
	case LinkRecordMissing, LinkRecordCorrupt, LinkSizeWrong, LinkOutdated:
		return c.mendLink(ctx, a.repo, a.digest)
	case TagMarkerMissing:
		return c.mark(ctx, f.Keys[0], "")
	case RepositoryUnmarked, APIKeyUnlisted:
		return c.mark(ctx, f.Keys[0], format.Live)
	case ReferrerMissing, ReferrerStale, ReferrerDiffers, ReferrerTwice:
		m, _ := parseKey(f.Keys[1])
		return c.mendReferrers(ctx, a.repo, a.digest, m.digest)
	case FenceBehind:
		return c.raise(ctx, f.Keys[0], f.Keys[1])
	case IllegalSize:
		return c.rewrite(ctx, f.Keys[0], a)
	}
	return "", false, nil
}

// lostRace reports that a write was refused, or overtaken, so that the repair looks again.
func lostRace(err error) bool { return format.IsConflict(err) || format.MaybeWritten(err) }

// mark makes a marker.
func (c *checker) mark(ctx context.Context, key record.Key, state format.State) (string, bool, error) {
	for range attempts {
		old, err := format.Read[format.Marker](ctx, c.store, key)
		if err != nil {
			return "", false, err
		}
		if old.Present() || state == "" && old.Exists() {
			return "", true, nil
		}
		head := format.Marker{}
		head.State = state
		_, err = format.WriteOrFind(ctx, c.store, key, old, head, nil, false)
		if err == nil {
			return "wrote the marker", true, nil
		}
		if !lostRace(err) {
			return "", false, err
		}
	}
	return "", false, nil
}

// raise moves a fence beyond the epoch of a manifest. To raise a fence is always safe: pushes look once more.
func (c *checker) raise(ctx context.Context, key, of record.Key) (string, bool, error) {
	for range attempts {
		fence, err := format.Read[format.Fence](ctx, c.store, key)
		if err != nil {
			return "", false, err
		}
		m, err := fetch[format.Manifest](ctx, c.store, of)
		if err != nil {
			return "", false, err
		}
		if !m.Present() || fence.Head.Epoch >= m.Head.Epoch {
			return "", true, nil
		}
		_, err = format.Write(ctx, c.store, key, fence, format.Fence{Epoch: m.Head.Epoch + 1}, nil, false)
		if err == nil {
			return "raised the fence", true, nil
		}
		if !lostRace(err) {
			return "", false, err
		}
	}
	return "", false, nil
}

// mendReferrers makes the entry of one manifest in a subject's list what it should be. The list is read before the manifest: a delete that
// kills it later writes the list later too, so that either it sees the entry or this swap fails (ADR 4). It looks again after it has written, for
// a collector that found nothing to drop.
func (c *checker) mendReferrers(ctx context.Context, repo oci.Repository, subject, d oci.Digest) (did string, mended bool, err error) {
	key := format.ReferrersKey(repo, subject)
	for range attempts {
		list, err := format.Read[format.Referrers](ctx, c.store, key)
		if err != nil {
			return did, false, err
		}
		m, err := fetch[format.Manifest](ctx, c.store, format.ManifestKey(repo, d))
		if err != nil {
			return did, false, err
		}
		if m.bad != nil || m.Present() && (!m.content.matches || m.content.manifest == nil) {
			return did, false, nil // what it should be cannot be known
		}
		want, listed := entryOf(subject, d, m)
		head := format.Referrers{List: entered(list.Head.List, d, want, listed)}
		if slices.EqualFunc(list.Head.List, head.List, sameReferrer) {
			return did, true, nil
		}
		if value, err := format.Encode(&head, nil); err != nil || len(value) > format.MaxReferrersBytes {
			return did, false, nil // there is no room
		}
		_, err = format.Write(ctx, c.store, key, list, head, nil, false)
		if err == nil {
			did = "took the manifest out of the list"
			if listed {
				did = "entered the manifest into the list"
			}
		} else if !lostRace(err) {
			return did, false, err
		}
	}
	return did, false, nil
}

func sameReferrer(a, b format.Referrer) bool {
	return a.Generation == b.Generation && sameDescriptor(a.Descriptor, b.Descriptor)
}

// entered returns a list with the entry of d as it is wanted: once at the place of its first, at the end, or nowhere.
func entered(list []format.Referrer, d oci.Digest, want format.Referrer, listed bool) []format.Referrer {
	out := make([]format.Referrer, 0, len(list)+1)
	for _, entry := range list {
		switch {
		case entry.Descriptor.Digest != d:
			out = append(out, entry)
		case listed:
			out = append(out, want)
			listed = false
		}
	}
	if listed {
		out = append(out, want)
	}
	return out
}

// mendLink makes a link that readers see what its record says: its size and segments, or, when there are no bytes behind it, corrupt, so that
// clients that ask for the blob push it again, which repairs it. It looks again after it has written, as the record may have changed.
func (c *checker) mendLink(ctx context.Context, repo oci.Repository, d oci.Digest) (did string, mended bool, err error) {
	key := format.LinkKey(repo, d)
	for range attempts {
		link, err := format.Read[format.Link](ctx, c.store, key)
		if err != nil || !link.Present() {
			return did, err == nil && did == "", err
		}
		rec, err := format.Read[format.Blob](ctx, c.store, format.BlobKey(d))
		if err != nil {
			return did, false, err
		}
		head, doing := link.Head, "marked the link corrupt"
		head.State = format.Corrupt
		if rec.Present() {
			head, doing = format.Link{Size: rec.Head.Size, Segments: rec.Head.Segments}, "gave the link its record's segments"
			head.State = link.State
			if missing, _, err := c.missing(ctx, rec.Head.Segments); err != nil || missing != "" {
				return did, false, err // the record is to be mended first
			}
			if link.Head.Size == head.Size && sameSegments(link.Head.Segments, head.Segments) {
				return did, true, nil
			}
		}
		if _, err = format.Write(ctx, c.store, key, link, head, nil, false); err == nil {
			did = doing
			if _, err = format.RaiseFence(ctx, c.store, repo); err != nil { // replicas remember what it was
				return did, false, err
			}
		} else if !lostRace(err) {
			return did, false, err
		}
	}
	return did, false, nil
}

// markCorrupt marks a record whose bytes are not there, then every link that shows the same segments. A pending link is renewed: who is
// about to make it live may have seen the record before, loses his swap and looks again. A process that dies in between leaves links that the
// next run marks (LinkRecordCorrupt).
func (c *checker) markCorrupt(ctx context.Context, d oci.Digest) (did string, mended bool, err error) {
	key := format.BlobKey(d)
	var rec format.Stored[format.Blob]
	for range attempts {
		if rec, err = format.Read[format.Blob](ctx, c.store, key); err != nil {
			return "", false, err
		}
		if !rec.Present() {
			break
		}
		missing, _, err := c.missing(ctx, rec.Head.Segments)
		if err != nil {
			return "", false, err
		}
		if missing == "" && sumOf(rec.Head.Segments) == rec.Head.Size {
			return "", true, nil // pushed again meanwhile
		}
		_, err = format.Swap(ctx, c.store, key, rec, format.Corrupt)
		if err == nil {
			did = "marked the record corrupt, and the links that show its segments"
			break
		}
		if !lostRace(err) {
			return "", false, err
		}
	}
	if did == "" {
		return "", !rec.Present(), nil
	}
	for entry, err := range c.store.Records.List(ctx, format.LinkPrefix(d), "") {
		if err != nil {
			return did, false, fmt.Errorf("fsck: list %s: %w", format.LinkPrefix(d), err)
		}
		if err := c.markLinkCorrupt(ctx, entry.Key, rec.Head.Segments); err != nil {
			return did, false, err
		}
	}
	return did, false, nil
}

func (c *checker) markLinkCorrupt(ctx context.Context, key record.Key, damaged []format.Segment) error {
	for range attempts {
		link, err := format.Read[format.Link](ctx, c.store, key)
		if err != nil {
			return err
		}
		to := format.Corrupt
		switch {
		case link.Is(format.Pending):
			to = format.Pending
		case !link.Present() || !sameSegments(link.Head.Segments, damaged):
			return nil
		}
		_, err = format.Swap(ctx, c.store, key, link, to)
		if err == nil && to == format.Corrupt { // replicas remember that it was there
			_, err = format.RaiseFence(ctx, c.store, format.UnescapeRepository(string(key[strings.LastIndexByte(string(key), '/')+1:])))
			return err
		}
		if err == nil || !lostRace(err) {
			return err
		}
	}
	return nil // written by others all the time; the next run looks at it
}

// rewrite writes a value once more, as it is, in the size that its state asks for.
func (c *checker) rewrite(ctx context.Context, key record.Key, a address) (string, bool, error) {
	switch a.class {
	case Records:
		return rewriteAs[format.Blob](ctx, c.store, key, a)
	case Links:
		return rewriteAs[format.Link](ctx, c.store, key, a)
	case Manifests:
		return rewriteAs[format.Manifest](ctx, c.store, key, a)
	case Tags:
		return rewriteAs[format.Tag](ctx, c.store, key, a)
	case Referrers:
		return rewriteAs[format.Referrers](ctx, c.store, key, a)
	case Fences:
		return rewriteAs[format.Fence](ctx, c.store, key, a)
	case Sessions:
		return rewriteAs[format.Upload](ctx, c.store, key, a)
	case Revocations:
		return rewriteAs[format.Revocation](ctx, c.store, key, a)
	case APIKeys:
		return rewriteAs[format.APIKey](ctx, c.store, key, a)
	case Markers, Repositories, APIKeyMarkers:
		return rewriteAs[format.Marker](ctx, c.store, key, a)
	case Quotas:
		if key == format.KeyQuotaBase {
			return rewriteAs[format.QuotaBase](ctx, c.store, key, a)
		}
		return rewriteAs[format.QuotaLedger](ctx, c.store, key, a)
	}
	return "", false, nil
}

func rewriteAs[H any, P format.HeadOf[H]](ctx context.Context, store format.Store, key record.Key, a address) (string, bool, error) {
	for range attempts {
		rec, err := store.Records.Get(ctx, key)
		if errors.Is(err, record.ErrNotFound) {
			return "", true, nil
		}
		if err != nil {
			return "", false, fmt.Errorf("fsck: read %s: %w", key, err)
		}
		old, err := format.Parse[H, P](store, key, rec)
		if err != nil {
			return "", false, nil //nolint:nilerr // it does not decode any more: a finding of its own, and no error of the store
		}
		state := metaOf(&old.Head).State
		if dead := state == format.Dead; dead == (len(rec.Value) == format.DeadSize) && (dead || len(rec.Value) >= format.MinLiveSize) {
			return "", true, nil
		}
		if old.State == format.Absent || !slices.Contains(legal(a.class), state) {
			return "", false, nil
		}
		_, err = format.Swap[H, P](ctx, store, key, old, state)
		if err == nil {
			return "wrote the value in its size", true, nil
		}
		if !lostRace(err) {
			return "", false, err
		}
	}
	return "", false, nil
}
