package registry

import (
	"context"
	"fmt"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/oci"
)

// Restore sets a tag to a digest that it named before; "" means what it named last, or names since it was deleted and brought back. It is a push of
// what is stored: its parts are looked at, and rescued from the collector. It never writes a manifest that is gone, and never sets the tag over
// anything but what it was when Restore began. With a digest it may be repeated after an error; with "" the second may go back
// to what the first has replaced. It costs what the push of a manifest costs that is there, and one request for a digest that only a marker tells
// of. Errors: MANIFEST_UNKNOWN when the tag is not known to have named the digest, or when the manifest is gone; MANIFEST_BLOB_UNKNOWN as oci.Errors, one for each
// thing that it refers to and that the repository does not have any more; *MovedError when another has changed the tag meanwhile.
func (l *Local) Restore(ctx context.Context, repo oci.Repository, name oci.Tag, d oci.Digest) error {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	tag, err := read[tagHead](ctx, l, format.TagKey(repo, name))
	if err != nil {
		return err
	}
	if d == "" {
		if d = lastNamed(tag); d == "" {
			return oci.Errorf(oci.ManifestUnknown, "it is not known what the tag %s named before", name)
		}
	} else if err := l.checkNamed(ctx, repo, name, tag, d); err != nil {
		return err
	}
	m, err := read[manifestHead](ctx, l, format.ManifestKey(repo, d))
	if err != nil {
		return err
	}
	if !m.Present() {
		return errGone(d, m)
	}
	if _, err := verified(d, m.Head.MediaType, m.Body); err != nil {
		return err
	}
	in := Push{ContentType: m.Head.MediaType, Body: m.Body, Digest: d, Tags: []oci.Tag{name}}
	_, err = l.pushManifest(ctx, repo, in, &push{restores: true, tags: []pushedTag{{name: name, tag: tag}}})
	return err
}

// lastNamed is what a tag named before it became what it is; "" when that is not known.
func lastNamed(tag stored[tagHead]) oci.Digest {
	switch {
	case tag.Is(dead):
		return tag.Head.Digest
	case tag.Present() && len(tag.Head.Previous) > 0:
		return tag.Head.Previous[0].Digest
	}
	return ""
}

// checkNamed looks whether a tag named a digest before, or names it. Errors: MANIFEST_UNKNOWN.
func (l *Local) checkNamed(ctx context.Context, repo oci.Repository, name oci.Tag, tag stored[tagHead], d oci.Digest) error {
	if tag.Head.Digest == d {
		return nil
	}
	for _, p := range tag.Head.Previous {
		if p.Digest == d {
			return nil
		}
	}
	marker, err := read[markerHead](ctx, l, format.MarkerKey(repo, d, name))
	if err != nil || marker.Present() {
		return err
	}
	return &oci.Error{
		Code:    oci.ManifestUnknown,
		Message: fmt.Sprintf("the tag %s is not known to have named this digest", name),
		Detail:  oci.Field{Field: "digest", Got: oci.Clip(string(d))},
	}
}

// errGone says that a manifest cannot be restored, and what m, its tombstone, tells of it.
func errGone(d oci.Digest, m stored[manifestHead]) error {
	message := "the repository does not have this manifest any more: it was deleted, or collected after the grace"
	if m.Is(dead) {
		message += ", on " + m.Modified.UTC().Format(time.RFC3339)
	}
	return &oci.Error{
		Code:    oci.ManifestUnknown,
		Message: message + ". To bring it back, push it",
		Detail:  oci.Field{Field: "digest", Got: oci.Clip(string(d))},
	}
}

// saysTheSame reports whether a tag is what it was, but for its version: the delete of another manifest gives it a new one (ADR 4).
func saysTheSame(a, b stored[tagHead]) bool {
	return a.State == b.State && a.Head.Digest == b.Head.Digest && a.Head.Generation == b.Head.Generation && a.Head.Pushed.Equal(b.Head.Pushed)
}

// MovedError is a tag that was changed by another while it was restored; nothing of that was undone.
type MovedError struct {
	Tag   oci.Tag
	Now   oci.Digest // what it names now; "" when it is deleted
	Since time.Time  // when that was done
	By    string     // by whom
}

func errMoved(name oci.Tag, now stored[tagHead]) *MovedError {
	e := &MovedError{Tag: name, Since: now.Head.T, By: now.Head.By}
	if now.Present() {
		e.Now, e.Since = now.Head.Digest, now.Head.AsPrevious().T
	}
	return e
}

// Error says what the tag is now.
func (e *MovedError) Error() string { return e.Unwrap().Error() }

// Unwrap returns the error for the client.
func (e *MovedError) Unwrap() error {
	now := "deleted"
	if e.Now != "" {
		now = "set to " + string(e.Now)
	}
	if e.By != "" {
		now += " by " + oci.Clip(e.By)
	}
	return oci.Errorf(oci.Denied, "the tag %s was changed while it was restored: it was %s on %s; look whether to restore it still",
		e.Tag, now, e.Since.UTC().Format(time.RFC3339))
}
