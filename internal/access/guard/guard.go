package guard

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/access"
	"holdfast/internal/access/policy"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// guard is the Registry. It keeps nothing between requests.
type guard struct {
	next  registry.Registry
	rules func() *policy.Policy
}

// New returns a Registry that does of next what the rules allow whoever asks. rules returns those that are in force; it is called once by each
// operation, by any number of goroutines. What is refused is an *oci.Error: DENIED for an identity, UNAUTHORIZED for nobody, each around a *Refusal.
func New(next registry.Registry, rules func() *policy.Policy) registry.Registry {
	return &guard{next: next, rules: rules}
}

// check decides one action. It is nil for what is allowed, and for work of our own.
func (g *guard) check(ctx context.Context, repo oci.Repository, ref oci.Reference, action access.Action) error {
	return g.checkAny(ctx, repo, ref, action)
}

// checkAny is check for what one of several actions is enough for. The first says why not.
func (g *guard) checkAny(ctx context.Context, repo oci.Repository, ref oci.Reference, actions ...access.Action) error {
	r := access.From(ctx)
	if r == nil {
		return nil
	}
	rules := g.rules()
	var first policy.Decision
	for i, action := range actions {
		d := rules.Decide(r, policy.Ask{Action: action, Repository: repo, Reference: ref})
		if d.Allowed {
			return nil
		}
		if i == 0 {
			first = d
		}
	}
	return refuse(r, first, actions[0], repo, another(rules, r, policy.Ask{Action: actions[0], Repository: repo, Reference: ref}))
}

// Blob implements registry.Blobs: read.
func (g *guard) Blob(ctx context.Context, repo oci.Repository, d oci.Digest) (*registry.Blob, error) {
	if err := g.check(ctx, repo, oci.Reference{}, access.Read); err != nil {
		return nil, err
	}
	return g.next.Blob(ctx, repo, d)
}

// StatBlob implements registry.Blobs: read.
func (g *guard) StatBlob(ctx context.Context, repo oci.Repository, d oci.Digest) (*registry.Blob, error) {
	if err := g.check(ctx, repo, oci.Reference{}, access.Read); err != nil {
		return nil, err
	}
	return g.next.StatBlob(ctx, repo, d)
}

// MountBlob implements registry.Blobs: create, and read of where it comes from. What may not be read is not there.
func (g *guard) MountBlob(ctx context.Context, repo oci.Repository, d oci.Digest, from registry.Source) error {
	r := access.From(ctx)
	if r == nil {
		return g.next.MountBlob(ctx, repo, d, from)
	}
	if err := g.check(ctx, repo, oci.Reference{}, access.Create); err != nil {
		return err
	}
	rules, before := g.rules(), from.Allowed
	from.Allowed = func(source oci.Repository) bool {
		return (before == nil || before(source)) && rules.Decide(r, policy.Ask{Action: access.Read, Repository: source}).Allowed
	}
	if from.Repository != "" && !from.Allowed(from.Repository) {
		return registry.ErrNotMounted
	}
	return g.next.MountBlob(ctx, repo, d, from)
}

// PushBlob implements registry.Blobs: create.
func (g *guard) PushBlob(ctx context.Context, repo oci.Repository, d oci.Digest, body io.Reader, size int64) error {
	if err := g.check(ctx, repo, oci.Reference{}, access.Create); err != nil {
		return err
	}
	return g.next.PushBlob(ctx, repo, d, body, size)
}

// DeleteBlob implements registry.Blobs: delete.
func (g *guard) DeleteBlob(ctx context.Context, repo oci.Repository, d oci.Digest) error {
	if err := g.check(ctx, repo, oci.Reference{}, access.Delete); err != nil {
		return err
	}
	return g.next.DeleteBlob(ctx, repo, d)
}

// StartUpload implements registry.Uploads: create.
func (g *guard) StartUpload(ctx context.Context, repo oci.Repository, alg digest.Algorithm) (registry.Upload, error) {
	if err := g.check(ctx, repo, oci.Reference{}, access.Create); err != nil {
		return registry.Upload{}, err
	}
	return g.next.StartUpload(ctx, repo, alg)
}

// AppendUpload implements registry.Uploads: create.
func (g *guard) AppendUpload(ctx context.Context, repo oci.Repository, id string, chunk registry.Chunk) (registry.Upload, error) {
	if err := g.check(ctx, repo, oci.Reference{}, access.Create); err != nil {
		return registry.Upload{}, err
	}
	return g.next.AppendUpload(ctx, repo, id, chunk)
}

// UploadStatus implements registry.Uploads: read, as in zot, or create: whoever may upload may go on with it. An upload is found by its own client alone.
func (g *guard) UploadStatus(ctx context.Context, repo oci.Repository, id string) (registry.Upload, error) {
	if err := g.checkAny(ctx, repo, oci.Reference{}, access.Read, access.Create); err != nil {
		return registry.Upload{}, err
	}
	return g.next.UploadStatus(ctx, repo, id)
}

// CommitUpload implements registry.Uploads: create.
func (g *guard) CommitUpload(ctx context.Context, repo oci.Repository, id string, d oci.Digest, last registry.Chunk) error {
	if err := g.check(ctx, repo, oci.Reference{}, access.Create); err != nil {
		return err
	}
	return g.next.CommitUpload(ctx, repo, id, d, last)
}

// CancelUpload implements registry.Uploads: delete, as in zot, or create: it takes away only what its own client has begun.
func (g *guard) CancelUpload(ctx context.Context, repo oci.Repository, id string) error {
	if err := g.checkAny(ctx, repo, oci.Reference{}, access.Delete, access.Create); err != nil {
		return err
	}
	return g.next.CancelUpload(ctx, repo, id)
}

// Resolve implements registry.Manifests: read.
func (g *guard) Resolve(ctx context.Context, repo oci.Repository, ref oci.Reference) (*registry.Stored, error) {
	if err := g.check(ctx, repo, ref, access.Read); err != nil {
		return nil, err
	}
	return g.next.Resolve(ctx, repo, ref)
}

// Tags implements registry.Lists: read.
func (g *guard) Tags(ctx context.Context, repo oci.Repository, last string, n int) (registry.Page[oci.Tag], error) {
	if err := g.check(ctx, repo, oci.Reference{}, access.Read); err != nil {
		return registry.Page[oci.Tag]{}, err
	}
	return g.next.Tags(ctx, repo, last, n)
}

// Referrers implements registry.Lists: read. A subject and what refers to it are in one repository.
func (g *guard) Referrers(ctx context.Context, repo oci.Repository, subject oci.Digest) ([]oci.Descriptor, error) {
	if err := g.check(ctx, repo, oci.Reference{}, access.Read); err != nil {
		return nil, err
	}
	return g.next.Referrers(ctx, repo, subject)
}
