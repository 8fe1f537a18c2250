package registry

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
)

// Routes is a Registry of several, each for the repositories below a path: zot's storage.subPaths. Nothing
// is shared between them: a blob of one store is not mounted into another.
type Routes struct {
	root   Registry
	routes []Route // longest path first
}

// Route sends the repository Path and those below it to a registry of its own.
type Route struct {
	Path string // without slashes at its ends
	To   Registry
}

// NewRoutes returns a Registry that sends each repository to the longest of the routes' paths that it lies
// below, and all others to root.
func NewRoutes(root Registry, routes []Route) *Routes {
	routes = slices.Clone(routes)
	slices.SortFunc(routes, func(a, b Route) int { return len(b.Path) - len(a.Path) })
	return &Routes{root: root, routes: routes}
}

func (r *Routes) of(repo oci.Repository) Registry {
	for _, route := range r.routes {
		rest, below := strings.CutPrefix(string(repo), route.Path)
		if below && (rest == "" || rest[0] == '/') {
			return route.To
		}
	}
	return r.root
}

// Blob implements Blobs.
func (r *Routes) Blob(ctx context.Context, repo oci.Repository, d oci.Digest) (*Blob, error) {
	return r.of(repo).Blob(ctx, repo, d)
}

// StatBlob implements Blobs.
func (r *Routes) StatBlob(ctx context.Context, repo oci.Repository, d oci.Digest) (*Blob, error) {
	return r.of(repo).StatBlob(ctx, repo, d)
}

// MountBlob implements Blobs. From another store nothing is mounted: the client uploads.
func (r *Routes) MountBlob(ctx context.Context, repo oci.Repository, d oci.Digest, from Source) error {
	to := r.of(repo)
	if from.Repository != "" && r.of(from.Repository) != to {
		return ErrNotMounted
	}
	return to.MountBlob(ctx, repo, d, from)
}

// PushBlob implements Blobs.
func (r *Routes) PushBlob(ctx context.Context, repo oci.Repository, d oci.Digest, body io.Reader, size int64) error {
	return r.of(repo).PushBlob(ctx, repo, d, body, size)
}

// DeleteBlob implements Blobs.
func (r *Routes) DeleteBlob(ctx context.Context, repo oci.Repository, d oci.Digest) error {
	return r.of(repo).DeleteBlob(ctx, repo, d)
}

// StartUpload implements Uploads.
func (r *Routes) StartUpload(ctx context.Context, repo oci.Repository, alg digest.Algorithm) (Upload, error) {
	return r.of(repo).StartUpload(ctx, repo, alg)
}

// AppendUpload implements Uploads.
func (r *Routes) AppendUpload(ctx context.Context, repo oci.Repository, id string, chunk Chunk) (Upload, error) {
	return r.of(repo).AppendUpload(ctx, repo, id, chunk)
}

// UploadStatus implements Uploads.
func (r *Routes) UploadStatus(ctx context.Context, repo oci.Repository, id string) (Upload, error) {
	return r.of(repo).UploadStatus(ctx, repo, id)
}

// CommitUpload implements Uploads.
func (r *Routes) CommitUpload(ctx context.Context, repo oci.Repository, id string, d oci.Digest, last Chunk) error {
	return r.of(repo).CommitUpload(ctx, repo, id, d, last)
}

// CancelUpload implements Uploads.
func (r *Routes) CancelUpload(ctx context.Context, repo oci.Repository, id string) error {
	return r.of(repo).CancelUpload(ctx, repo, id)
}

// Resolve implements Manifests.
func (r *Routes) Resolve(ctx context.Context, repo oci.Repository, ref oci.Reference) (*Stored, error) {
	return r.of(repo).Resolve(ctx, repo, ref)
}

// PushManifest implements Manifests.
func (r *Routes) PushManifest(ctx context.Context, repo oci.Repository, push Push) (*Pushed, error) {
	return r.of(repo).PushManifest(ctx, repo, push)
}

// DeleteTag implements Manifests.
func (r *Routes) DeleteTag(ctx context.Context, repo oci.Repository, tag oci.Tag) error {
	return r.of(repo).DeleteTag(ctx, repo, tag)
}

// DeleteManifest implements Manifests.
func (r *Routes) DeleteManifest(ctx context.Context, repo oci.Repository, d oci.Digest) error {
	return r.of(repo).DeleteManifest(ctx, repo, d)
}

// DeleteManifestIf implements Manifests.
func (r *Routes) DeleteManifestIf(ctx context.Context, repo oci.Repository, d oci.Digest, allow func(tags []oci.Tag) error) error {
	return r.of(repo).DeleteManifestIf(ctx, repo, d, allow)
}

// Tags implements Lists.
func (r *Routes) Tags(ctx context.Context, repo oci.Repository, last string, n int) (Page[oci.Tag], error) {
	return r.of(repo).Tags(ctx, repo, last, n)
}

// Referrers implements Lists.
func (r *Routes) Referrers(ctx context.Context, repo oci.Repository, subject oci.Digest) ([]oci.Descriptor, error) {
	return r.of(repo).Referrers(ctx, repo, subject)
}

// Repositories implements Lists: the merge of all stores' lists, in byte order. A store may hold names
// that are routed elsewhere now, from before the route was made: they are not shown.
func (r *Routes) Repositories(ctx context.Context, last string, n int) (Page[oci.Repository], error) {
	var all Page[oci.Repository]
	for _, from := range r.registries() {
		page, err := r.owned(ctx, from, last, n)
		if err != nil {
			return Page[oci.Repository]{}, err
		}
		all.Names = append(all.Names, page.Names...)
		all.More = all.More || page.More
	}
	slices.Sort(all.Names)
	all.Names = slices.Compact(all.Names)
	if len(all.Names) > n {
		all.Names, all.More = all.Names[:n], true
	}
	return all, nil
}

func (r *Routes) registries() []Registry {
	list := []Registry{r.root}
	for _, route := range r.routes {
		if !slices.Contains(list, route.To) {
			list = append(list, route.To)
		}
	}
	return list
}

// owned lists a page of the repositories of one registry that are routed to it.
func (r *Routes) owned(ctx context.Context, from Registry, last string, n int) (Page[oci.Repository], error) {
	var owned Page[oci.Repository]
	for {
		page, err := from.Repositories(ctx, last, n)
		if err != nil {
			return owned, err
		}
		for _, name := range page.Names {
			if r.of(name) != from {
				continue
			}
			if len(owned.Names) == n {
				owned.More = true
				return owned, nil
			}
			owned.Names = append(owned.Names, name)
		}
		if !page.More {
			return owned, nil
		}
		if len(owned.Names) == n {
			owned.More = true
			return owned, nil
		}
		last = string(page.Names[len(page.Names)-1])
	}
}
