package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/format"
	"holdfast/internal/oci"
)

// parallelReads bounds the requests that one push has under way.
const parallelReads = 16

// references checks that a repository has all that a manifest refers to, and brings back what the
// collector was about to take. In an index, a child manifest is trusted when its own references were seen
// under the same fence; else they are looked at too, and so on down.
type references struct {
	l     *Local
	repo  oci.Repository
	epoch uint64
	again bool // look at everything, whatever is remembered: the fence has moved

	mu      sync.Mutex
	missing []*oci.Error
	next    []*oci.Manifest // children whose references must be looked at
	checked []oci.Digest    // children whose references were all there
	seen    map[sighting]bool
}

// sighting is a reference as it was looked at: the same digest may be named as a blob and as a manifest, and
// with a size that is wrong.
type sighting struct {
	digest oci.Digest
	size   int64
	child  bool
}

// check looks at all references of m. Errors: MANIFEST_BLOB_UNKNOWN as oci.Errors, one for each that is
// missing; SIZE_INVALID when a descriptor says another size than is stored.
func (r *references) check(ctx context.Context, m *oci.Manifest) error {
	r.seen = map[sighting]bool{}
	level := []*oci.Manifest{m}
	if !r.again { // a second look is one at the store
		ctx = format.RecallLinks(ctx)
	}
	for len(level) > 0 {
		r.next = nil
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(parallelReads)
		for _, m := range level {
			for _, blob := range m.Blobs {
				if r.first(sighting{blob.Digest, blob.Size, false}) {
					g.Go(func() error { return r.blob(gctx, blob) })
				}
			}
			for _, child := range m.Children {
				if r.first(sighting{child.Digest, child.Size, true}) {
					g.Go(func() error { return r.child(gctx, child) })
				}
			}
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if len(r.missing) > 0 {
			slices.SortFunc(r.missing, func(a, b *oci.Error) int { return cmp.Compare(a.Message, b.Message) })
			return oci.Errors(r.missing)
		}
		level = r.next
	}
	for _, d := range r.checked {
		r.l.children.Add(childKey{r.repo, d}, r.epoch)
	}
	return nil
}

func (r *references) first(s sighting) bool {
	if r.seen[s] {
		return false
	}
	r.seen[s] = true
	return true
}

func (r *references) miss(ref oci.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missing = append(r.missing, &oci.Error{
		Code:    oci.ManifestBlobUnknown,
		Message: ref.Field + ": the repository does not have this; push it first",
		Detail:  oci.Field{Field: ref.Field + ".digest", Got: string(ref.Digest)},
	})
}

func errSize(ref oci.Ref, actual int64) error {
	return &oci.Error{
		Code:    oci.SizeInvalid,
		Message: fmt.Sprintf("%s: %d said, %d stored", ref.Field, ref.Size, actual),
		Detail:  oci.Field{Field: ref.Field + ".size", Got: fmt.Sprint(ref.Size), Want: fmt.Sprint(actual)},
	}
}

func (r *references) blob(ctx context.Context, ref oci.Ref) error {
	key := format.LinkKey(r.repo, ref.Digest)
	link, err := read[linkHead](ctx, r.l, key)
	for range rounds(ctx) {
		switch {
		case err != nil && !isConflict(err):
			return err
		case !link.Present():
			r.miss(ref)
			return nil
		case link.Head.Size != ref.Size:
			return errSize(ref, link.Head.Size)
		case link.Is(live):
			return nil
		}
		link, err = swap(ctx, r.l, key, link, live)
	}
	return errContended("rescue a link")
}

func (r *references) child(ctx context.Context, ref oci.Ref) error {
	key := format.ManifestKey(r.repo, ref.Digest)
	m, err := read[manifestHead](ctx, r.l, key)
	rescued := false
	for range rounds(ctx) {
		switch {
		case err != nil && !isConflict(err):
			return err
		case !m.Present():
			r.miss(ref)
			return nil
		case int64(len(m.Body)) != ref.Size:
			return errSize(ref, int64(len(m.Body)))
		case m.Is(live):
			return r.descend(m, ref, rescued)
		}
		m, err = swap(ctx, r.l, key, m, live)
		rescued = true
	}
	return errContended("rescue a manifest")
}

// descend queues the references of a child, unless they are known to have been there under the epoch.
func (r *references) descend(m stored[manifestHead], ref oci.Ref, rescued bool) error {
	if !r.again && !rescued {
		if m.Head.Epoch == r.epoch {
			return nil
		}
		if seen, ok := r.l.children.Find(childKey{r.repo, ref.Digest}); ok && seen == r.epoch {
			return nil
		}
	}
	parsed, err := r.l.parsed(ref.Digest, m.Head.MediaType, m.Body)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = append(r.next, parsed)
	r.checked = append(r.checked, ref.Digest)
	return nil
}

// parsed reads a stored manifest, once per digest.
func (l *Local) parsed(d oci.Digest, mediaType string, body []byte) (*oci.Manifest, error) {
	if m, ok := l.refs.Find(d); ok {
		return m, nil
	}
	m, err := oci.ParseManifest(mediaType, body)
	if err != nil || d.Algorithm().FromBytes(body) != d {
		return nil, fmt.Errorf("registry: the stored manifest %s: %w", d, errDamaged(d))
	}
	l.refs.Add(d, m)
	return m, nil
}
