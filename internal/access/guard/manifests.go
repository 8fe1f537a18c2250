package guard

import (
	"context"
	"errors"
	"fmt"

	"holdfast/internal/access"
	"holdfast/internal/access/policy"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// permission is what a push may do with one tag.
type permission struct {
	create, update error  // nil: allowed
	immutable      string // the pattern by which it is; "" when it is not
}

// free reports whether the tag may be set whatever it names.
func (p permission) free() bool { return p.create == nil && p.update == nil && p.immutable == "" }

// allow decides about a tag that names was, "" for nothing, and is to name d. The same again changes nothing, so that create is enough.
func (p permission) allow(tag oci.Tag, was, d oci.Digest) error {
	switch {
	case was == "":
		return p.create
	case was == d && p.create == nil:
		return nil
	case was == d:
		return p.update
	case p.immutable != "":
		return immutable(p.immutable, fmt.Sprintf("the tag %s is immutable: it stays what it is", tag))
	}
	return p.update
}

// PushManifest implements registry.Manifests: for each tag create where it names nothing or the same, update where it names something else; for a push by
// digest the same of the digest itself, as in zot. All is decided before the store is asked, but for what a tag names, which the push
// looks at before it writes anything and holds until its swap.
func (g *guard) PushManifest(ctx context.Context, repo oci.Repository, push registry.Push) (*registry.Pushed, error) {
	tags, err := g.permissions(ctx, repo, push)
	if err != nil {
		return nil, err
	}
	if tags != nil {
		before := push.Allow
		push.Allow = func(tag oci.Tag, was, d oci.Digest) error {
			if err := tags[tag].allow(tag, was, d); err != nil || before == nil {
				return err
			}
			return before(tag, was, d)
		}
	}
	return g.next.PushManifest(ctx, repo, push)
}

// MayPush is the part of PushManifest that needs neither the manifest's bytes nor the store: whoever may not push at all learns it before they are
// read. nil does not mean that the push will be allowed.
func (g *guard) MayPush(ctx context.Context, repo oci.Repository, push registry.Push) error {
	_, err := g.permissions(ctx, repo, push)
	return err
}

// permissions are what a push may do with each of its tags; nil where it may do all.
func (g *guard) permissions(ctx context.Context, repo oci.Repository, push registry.Push) (map[oci.Tag]permission, error) {
	r := access.From(ctx)
	if r == nil {
		return nil, nil
	}
	rules := g.rules()
	decide := func(action access.Action, ref oci.Reference) error {
		ask := policy.Ask{Action: action, Repository: repo, Reference: ref}
		if d := rules.Decide(r, ask); !d.Allowed {
			return refuse(r, d, action, repo, another(rules, r, ask))
		}
		return nil
	}
	if len(push.Tags) == 0 {
		return nil, decide(access.Create, oci.Reference{Digest: push.Digest})
	}
	var create, update error // of the digest
	if push.Digest != "" {
		create, update = decide(access.Create, oci.Reference{Digest: push.Digest}), decide(access.Update, oci.Reference{Digest: push.Digest})
	}
	tags := make(map[oci.Tag]permission, len(push.Tags))
	free := true
	for _, tag := range push.Tags {
		p := permission{create, update, rules.Immutable(repo, tag)}
		if p.create == nil {
			p.create = decide(access.Create, oci.Reference{Tag: tag})
		}
		if p.update == nil {
			p.update = decide(access.Update, oci.Reference{Tag: tag})
		}
		if p.create != nil && p.update != nil {
			return nil, p.create
		}
		tags[tag] = p
		free = free && p.free()
	}
	if free {
		return nil, nil
	}
	return tags, nil
}

// DeleteTag implements registry.Manifests: delete. A tag that would be immutable is refused whether it is there or not.
func (g *guard) DeleteTag(ctx context.Context, repo oci.Repository, tag oci.Tag) error {
	if err := g.check(ctx, repo, oci.Reference{Tag: tag}, access.Delete); err != nil {
		return err
	}
	if access.From(ctx) != nil {
		if pattern := g.rules().Immutable(repo, tag); pattern != "" {
			return immutable(pattern, fmt.Sprintf("the tag %s is immutable: it is never deleted by a client", tag))
		}
	}
	return g.next.DeleteTag(ctx, repo, tag)
}

// DeleteManifest implements registry.Manifests: delete, and no immutable tag may name it.
func (g *guard) DeleteManifest(ctx context.Context, repo oci.Repository, d oci.Digest) error {
	return g.delete(ctx, repo, d, nil)
}

// DeleteManifestIf implements registry.Manifests as DeleteManifest does; both conditions must hold.
func (g *guard) DeleteManifestIf(ctx context.Context, repo oci.Repository, d oci.Digest, allow func([]oci.Tag) error) error {
	return g.delete(ctx, repo, d, allow)
}

// errSeveral is for an identity that wants to be told when a digest has several tags.
var errSeveral = &oci.Error{Code: oci.ManifestInvalid, Reason: oci.Ambiguous, Message: "the manifest has several tags: delete them first", Err: errors.New("guard: detectManifestCollision")}

func (g *guard) delete(ctx context.Context, repo oci.Repository, d oci.Digest, allow func([]oci.Tag) error) error {
	r := access.From(ctx)
	ref := oci.Reference{Digest: d}
	if err := g.check(ctx, repo, ref, access.Delete); err != nil {
		return err
	}
	if r != nil {
		rules, before := g.rules(), allow
		keeps := rules.HasImmutable(repo)
		detects := rules.Decide(r, policy.Ask{Action: access.DetectManifestCollision, Repository: repo, Reference: ref}).Allowed
		if keeps || detects {
			allow = func(tags []oci.Tag) error {
				if err := g.keep(rules, repo, tags); err != nil {
					return err
				}
				if detects && len(tags) > 1 {
					return errSeveral
				}
				if before != nil {
					return before(tags)
				}
				return nil
			}
		}
	}
	if allow == nil {
		return g.next.DeleteManifest(ctx, repo, d)
	}
	return g.next.DeleteManifestIf(ctx, repo, d, allow)
}

// keep refuses to delete a manifest that an immutable tag names. It does not say which: who may delete need not be one who may read.
func (g *guard) keep(rules *policy.Policy, repo oci.Repository, tags []oci.Tag) error {
	for _, tag := range tags {
		if pattern := rules.Immutable(repo, tag); pattern != "" {
			return immutable(pattern, "the manifest has an immutable tag: it is never deleted by a client")
		}
	}
	return nil
}
