package move

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// outgoing is a repository on its way into a layout.
type outgoing struct {
	*tally
	from   registry.Registry
	layout *Layout
	repo   oci.Repository
	verify bool // what the layout has is compared with its digest, and copied again when it is not that

	mu   sync.Mutex
	done map[oci.Digest]bool // manifests that are in the layout with all that they refer to, as this call has seen
}

// whole copies a manifest with all that it refers to, and returns its descriptor. body is the manifest, or nil when it is yet to be read. What the layout has is
// not read again. Blobs come before the manifest, so that a manifest in the layout is whole but for what somebody has removed there; that is looked for.
// Errors: MANIFEST_UNKNOWN, BLOB_UNKNOWN for what the repository does not have, or not any more.
func (o *outgoing) whole(ctx context.Context, d oci.Digest, mediaType string, body []byte) (oci.Descriptor, error) {
	fresh := false
	if body == nil {
		var err error
		body, err = o.layout.ReadBytes(d, oci.MaxManifestBytes)
		if err != nil || mediaType == "" && !saysType(body) {
			// Not there, or damaged there, and then it is written anew; or only the registry knows what it was pushed as.
			fresh = err != nil
			stored, err := o.from.Resolve(ctx, o.repo, oci.Reference{Digest: d})
			if err != nil {
				return oci.Descriptor{}, err
			}
			body, mediaType = stored.Body, stored.MediaType
		}
	}
	m, err := oci.ParseManifest(mediaType, body)
	if err != nil {
		return oci.Descriptor{}, fmt.Errorf("move: read the manifest %s: %w", d, err)
	}
	desc := oci.Descriptor{MediaType: m.MediaType, Digest: d, Size: int64(len(body)), ArtifactType: m.ArtifactType}
	o.mu.Lock()
	done := o.done[d]
	o.mu.Unlock()
	if done {
		return desc, nil
	}
	for _, child := range m.Children {
		if _, err := o.whole(ctx, child.Digest, child.MediaType, nil); err != nil {
			return desc, fmt.Errorf("%s: manifest %s: %w", child.Field, child.Digest, err)
		}
	}
	if err := o.blobs(ctx, m); err != nil {
		return desc, err
	}
	defer o.layout.hold(d)()
	there, err := o.layout.Has(d, desc.Size)
	if err != nil {
		return desc, err
	}
	if !there || fresh {
		if err := o.layout.Write(ctx, d, bytes.NewReader(body)); err != nil {
			return desc, err
		}
		o.count(func(r *Report) { r.Manifests++ })
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done[d] = true
	return desc, nil
}

// saysType reports whether a manifest has a media type of its own.
func saysType(body []byte) bool {
	var m struct{ MediaType string }
	return json.Unmarshal(body, &m) == nil && m.MediaType != ""
}

// blobs copies the blobs of a manifest.
func (o *outgoing) blobs(ctx context.Context, m *oci.Manifest) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelBlobs)
	for _, ref := range m.Blobs {
		g.Go(func() error {
			if err := o.blob(gctx, ref); err != nil {
				return fmt.Errorf("%s: blob %s: %w", ref.Field, ref.Digest, err)
			}
			return nil
		})
	}
	for _, ref := range m.Foreign {
		g.Go(func() error {
			if err := o.blob(gctx, ref); err != nil && !errors.Is(err, oci.ErrBlobUnknown) {
				return fmt.Errorf("%s: blob %s: %w", ref.Field, ref.Digest, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (o *outgoing) blob(ctx context.Context, ref oci.Ref) error {
	defer o.layout.hold(ref.Digest)()
	there, err := o.has(ctx, ref)
	if err != nil {
		return err
	}
	if there {
		o.count(func(r *Report) { r.Present++ })
		return nil
	}
	blob, err := o.from.Blob(ctx, o.repo, ref.Digest)
	if err != nil {
		return err
	}
	o.wantBytes.Add(blob.Size)
	r, err := blob.Bytes.Open(ctx, 0, blob.Size)
	if err != nil {
		return err
	}
	err = o.layout.Write(ctx, ref.Digest, counted{r, o.tally})
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	o.tally.blobs.Add(1)
	o.count(func(r *Report) {
		r.Blobs++
		r.Bytes += blob.Size
	})
	return nil
}

// has reports whether the layout has a blob.
func (o *outgoing) has(ctx context.Context, ref oci.Ref) (bool, error) {
	if o.verify {
		return o.layout.intact(ctx, ref.Digest, ref.Size)
	}
	return o.layout.Has(ref.Digest, ref.Size)
}

// isGone reports whether err says that something is not there, or not any more.
func isGone(err error) bool {
	return errors.Is(err, oci.ErrManifestUnknown) || errors.Is(err, oci.ErrBlobUnknown) || errors.Is(err, oci.ErrNameUnknown)
}
