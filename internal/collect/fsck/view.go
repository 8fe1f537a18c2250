package fsck

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// view is what one check reads: each key once. Safe for concurrent use.
type view struct {
	store format.Store

	mu    sync.Mutex
	items map[record.Key]loaded
}

func (c *checker) newView() *view { return &view{store: c.store, items: map[record.Key]loaded{}} }

// loaded is an item of any class.
type loaded interface {
	stamp() record.Stamp
	own(a address) []problem
	about() facts
}

// item is a value as it was read, without its body. A key without a value has the zero item.
type item[H any] struct {
	format.Stored[H]
	facts
}

// facts are what there is to know of a value of any class.
type facts struct {
	exists  bool
	length  int64 // of the whole value, in bytes
	bad     error // why it does not decode; then the state is Absent, as for readers it is neither there nor not
	state   format.State
	meta    format.Meta
	content content
}

// content is what is kept of the body of a manifest or a tag.
type content struct {
	size     int64
	matches  bool          // it is its digest's
	manifest *oci.Manifest // of a manifest that can be read
	err      error         // why it cannot
}

func (i *item[H]) stamp() record.Stamp { return i.Stamp }
func (i *item[H]) about() facts        { return i.facts }

// load reads a key into a view. Errors: the store's; a value that does not decode is no error.
func load[H any, P format.HeadOf[H]](ctx context.Context, v *view, key record.Key) (*item[H], error) {
	v.mu.Lock()
	known, ok := v.items[key]
	v.mu.Unlock()
	if ok {
		return known.(*item[H]), nil
	}
	it, err := fetch[H, P](ctx, v.store, key)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.items[key] = it
	return it, nil
}

func fetch[H any, P format.HeadOf[H]](ctx context.Context, store format.Store, key record.Key) (*item[H], error) {
	rec, err := store.Records.Get(ctx, key)
	if errors.Is(err, record.ErrNotFound) {
		return &item[H]{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("fsck: read %s: %w", key, err)
	}
	it := &item[H]{facts: facts{exists: true, length: int64(len(rec.Value))}}
	it.Stored, it.bad = format.Parse[H, P](store, key, rec)
	it.Stamp = rec.Stamp
	if it.bad != nil {
		return it, nil
	}
	it.state, it.meta = it.State, metaOf(&it.Head)
	a, _ := parseKey(key)
	switch head := any(&it.Head).(type) {
	case *format.Manifest:
		it.content = contentOf(a.digest, it.Body)
		it.content.manifest, it.content.err = oci.ParseManifest(head.MediaType, it.Body)
	case *format.Tag:
		it.content = contentOf(head.Digest, it.Body)
	}
	it.Body = nil
	return it, nil
}

func contentOf(d oci.Digest, body []byte) content {
	_, err := oci.ParseDigest(string(d))
	return content{size: int64(len(body)), matches: err == nil && d.Algorithm().FromBytes(body) == d}
}

// metaOf returns what all heads have.
func metaOf(head any) format.Meta {
	switch h := head.(type) {
	case *format.Blob:
		return h.Meta
	case *format.Link:
		return h.Meta
	case *format.Manifest:
		return h.Meta
	case *format.Tag:
		return h.Meta
	case *format.Referrers:
		return h.Meta
	case *format.Fence:
		return h.Meta
	case *format.Marker:
		return h.Meta
	case *format.Upload:
		return h.Meta
	case *format.Revocation:
		return h.Meta
	case *format.APIKey:
		return h.Meta
	case *format.QuotaLedger:
		return h.Meta
	case *format.QuotaBase:
		return h.Meta
	}
	return format.Meta{}
}

// loadAny loads a key of any class.
func loadAny(ctx context.Context, v *view, key record.Key, class Class) (loaded, error) {
	switch class {
	case Records:
		return load[format.Blob](ctx, v, key)
	case Links:
		return load[format.Link](ctx, v, key)
	case Manifests:
		return load[format.Manifest](ctx, v, key)
	case Tags:
		return load[format.Tag](ctx, v, key)
	case Referrers:
		return load[format.Referrers](ctx, v, key)
	case Fences:
		return load[format.Fence](ctx, v, key)
	case Sessions:
		return load[format.Upload](ctx, v, key)
	case Revocations:
		return load[format.Revocation](ctx, v, key)
	case APIKeys:
		return load[format.APIKey](ctx, v, key)
	case Markers, Repositories, APIKeyMarkers:
		return load[format.Marker](ctx, v, key)
	case Quotas:
		if key == format.KeyQuotaBase {
			return load[format.QuotaBase](ctx, v, key)
		}
		return load[format.QuotaLedger](ctx, v, key)
	}
	return nil, fmt.Errorf("fsck: read %s: no values are of the class %q", key, class)
}

// held reads everything once more: it reports whether all that the view shows was there at one moment, the one between the last
// first read and the first of these. Versions never come back, so a key that has its version still had it all the time.
func (v *view) held(ctx context.Context) (bool, error) {
	for key, it := range v.items {
		rec, err := v.store.Records.Get(ctx, key)
		if err != nil && !errors.Is(err, record.ErrNotFound) {
			return false, fmt.Errorf("fsck: read %s again: %w", key, err)
		}
		if rec.Version != it.stamp().Version {
			return false, nil
		}
	}
	return true, nil
}
