package registry

import (
	"context"

	"holdfast/internal/format"
	"holdfast/internal/record"
)

// The words of the storage format, which this package speaks in every line.

// Ages are the protocol's spans of time; see package format.
type Ages = format.Ages

const (
	absent    = format.Absent
	pending   = format.Pending
	live      = format.Live
	condemned = format.Condemned
	doomed    = format.Doomed
	dead      = format.Dead
	corrupt   = format.Corrupt
	open      = format.Open
	done      = format.Done
	aborted   = format.Aborted
)

type (
	segment       = format.Segment
	blobHead      = format.Blob
	linkHead      = format.Link
	manifestHead  = format.Manifest
	tagHead       = format.Tag
	referrersHead = format.Referrers
	referrer      = format.Referrer
	markerHead    = format.Marker
	uploadHead    = format.Upload
)

// stored is a value as it was read, and the stamp to swap it by.
type stored[H any] = format.Stored[H]

func read[H any, P format.HeadOf[H]](ctx context.Context, l *Local, key record.Key) (stored[H], error) {
	return format.Read[H, P](ctx, l.format, key)
}

func write[H any, P format.HeadOf[H]](ctx context.Context, l *Local, key record.Key, old stored[H], head H, body []byte, install bool) (stored[H], error) {
	return format.Write[H, P](ctx, l.format, key, old, head, body, install)
}

func writeOrFind[H any, P format.HeadOf[H]](ctx context.Context, l *Local, key record.Key, old stored[H], head H, body []byte, install bool) (stored[H], error) {
	return format.WriteOrFind[H, P](ctx, l.format, key, old, head, body, install)
}

func swap[H any, P format.HeadOf[H]](ctx context.Context, l *Local, key record.Key, old stored[H], to format.State) (stored[H], error) {
	return format.Swap[H, P](ctx, l.format, key, old, to)
}

func isConflict(err error) bool { return format.IsConflict(err) }

func maybeWritten(err error) bool { return format.MaybeWritten(err) }
