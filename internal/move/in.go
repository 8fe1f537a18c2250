package move

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/data"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	"holdfast/internal/registry"
)

// How much is done at once.
const (
	parallelRepositories = 4
	parallelManifests    = 4    // of one repository, on their way out
	parallelBlobs        = 4    // of one repository on its way in, of one manifest on its way out
	batch                = 1000 // entries whose manifests are in memory, of one repository
)

// ImportConfig is what an import can be told.
type ImportConfig struct {
	Prefix    string   // before the names of repositories, with a slash between
	Only      []string // repositories, as the source calls them; empty: all
	DryRun    bool     // nothing is written; what is there is not even renewed
	Overwrite bool     // a tag that names something else here is set to what it names there, else it is left and named as a problem
}

// Import pushes what a source has into a registry: in a repository first the blobs, then in the source's order the manifests, each after what it refers to. What is there already is not
// read from the source, so that an import that was killed goes on where it was. A client that pushes a tag between the look at it and the push may lose it
// to the import, as to any other push; the tag's history has it. tell, if not nil, is told of the progress. Errors: a source that cannot be listed, a store that does not answer, the context's; the report
// says what was done before. All else is a Problem, and the rest goes on.
func Import(ctx context.Context, to registry.Registry, from Source, cfg ImportConfig, tell func(Progress)) (*Report, error) {
	return bringIn(ctx, newTally(OpImport, cfg.DryRun), to, from, cfg, tell)
}

func bringIn(ctx context.Context, t *tally, to registry.Registry, from Source, cfg ImportConfig, tell func(Progress)) (*Report, error) {
	names, err := from.Repositories(ctx)
	if err != nil {
		return &t.report, err
	}
	if len(names) == 0 && t.report.Do == OpImport {
		t.problem(Problem{Err: "there is no repository in the source: is it the right directory?"})
	}
	if len(cfg.Only) > 0 {
		for _, name := range cfg.Only {
			if !slices.Contains(names, name) {
				t.problem(Problem{Repository: name, Err: "the source has no such repository"})
			}
		}
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !slices.Contains(cfg.Only, name) })
	}
	defer t.telling(ctx, tell)()
	t.of.Store(int64(len(names)))
	atBlobs := newHolds()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelRepositories)
	for _, name := range names {
		g.Go(func() error {
			in := &incoming{tally: t, holds: atBlobs, to: to, from: from, cfg: cfg, name: name, blobs: map[oci.Digest]error{}, manifests: map[oci.Digest]error{}}
			return in.run(gctx)
		})
	}
	return &t.report, g.Wait()
}

// incoming is a repository on its way in.
type incoming struct {
	*tally
	holds // of all repositories: what one has pushed is mounted into the others
	to    registry.Registry
	from  Source
	cfg   ImportConfig
	name  string // as the source calls it
	repo  oci.Repository

	atResults sync.Mutex
	blobs     map[oci.Digest]error // that were pushed, or why not
	manifests map[oci.Digest]error
	wrote     bool
}

func (in *incoming) run(ctx context.Context) error {
	before := in.problems()
	repo, err := oci.ParseRepository(path.Join(in.cfg.Prefix, in.name))
	if err != nil {
		in.problem(Problem{Repository: in.name, Err: err.Error()})
	} else {
		in.repo = repo
		err = in.all(ctx)
	}
	if fatal(ctx, err) {
		return err
	}
	in.repositories.Add(1)
	in.count(func(r *Report) {
		if r.Repositories++; !in.wrote && err == nil && r.ProblemsTotal == before {
			r.Unchanged++
		}
	})
	return nil
}

// fatal reports whether it makes no sense to go on with anything.
func fatal(ctx context.Context, err error) bool {
	var source *SourceError
	var layout *LayoutError
	switch {
	case err == nil:
		return false
	case ctx.Err() != nil, errors.As(err, &layout):
		return true
	case errors.As(err, &source):
		return false
	}
	return errors.Is(err, record.ErrUnavailable) || errors.Is(err, data.ErrUnavailable)
}

// SourceError is a source that could not be read.
type SourceError struct{ Err error }

// Error is the cause's.
func (e *SourceError) Error() string { return "the source: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *SourceError) Unwrap() error { return e.Err }

// all brings in all entries, in batches.
func (in *incoming) all(ctx context.Context) error {
	in.repository.Store(in.name)
	entries, problems, err := in.from.Entries(ctx, in.name)
	if err != nil {
		if ctx.Err() == nil {
			in.problem(Problem{Repository: in.name, Err: err.Error()})
		}
		return &SourceError{err}
	}
	for _, p := range problems {
		in.problem(p)
	}
	for some := range slices.Chunk(entries, batch) {
		if err := in.some(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// node is a manifest on its way in, with what it refers to.
type node struct {
	digest   oci.Digest
	manifest *oci.Manifest
	body     []byte
	children []*node
	err      error
}

// some brings in a batch of entries: first what is there already is left out, then the manifests are read, then all their blobs are pushed at once, then
// the manifests one after the other, so that tags keep the order of their push.
func (in *incoming) some(ctx context.Context, entries []Entry) error {
	missing := make([]bool, len(entries))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelBlobs)
	for i, e := range entries {
		g.Go(func() (err error) {
			missing[i], err = in.wanted(gctx, e)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	nodes := map[oci.Digest]*node{}
	blobs := map[oci.Digest]oci.Ref{}
	for i, e := range entries {
		if missing[i] {
			in.load(ctx, nodes, blobs, e.Digest, e.MediaType)
		}
	}
	if err := in.pushBlobs(ctx, blobs); err != nil {
		return err
	}
	for i, e := range entries {
		if !missing[i] {
			continue
		}
		err := in.push(registry.WithCaller(ctx, e.By), nodes[e.Digest], e.Tag)
		if fatal(ctx, err) {
			return err
		}
		if err != nil {
			in.problem(Problem{Repository: in.name, Tag: string(e.Tag), Digest: e.Digest, Err: err.Error()})
		}
	}
	return nil
}

// wanted reports whether an entry is to be pushed. One that is not is there, or is a problem.
func (in *incoming) wanted(ctx context.Context, e Entry) (bool, error) {
	ref := oci.Reference{Tag: e.Tag}
	if e.Tag == "" {
		ref.Digest = e.Digest
	}
	there, err := in.to.Resolve(ctx, in.repo, ref)
	switch {
	case errors.Is(err, oci.ErrManifestUnknown), errors.Is(err, oci.ErrNameUnknown):
		return true, nil
	case fatal(ctx, err):
		return false, err
	case err != nil: // what is stored is damaged: the push repairs it, or says what is wrong
		return true, nil
	case there.Digest == e.Digest:
		return false, nil
	case !in.cfg.Overwrite:
		in.problem(Problem{
			Repository: in.name, Tag: string(e.Tag), Digest: e.Digest,
			Err: fmt.Sprintf("the tag names %s here: it is left as it is; --overwrite sets it", there.Digest),
		})
		return false, nil
	}
	return true, nil
}

// load reads a manifest and, of an index, its children; all once. It notes their blobs.
func (in *incoming) load(ctx context.Context, nodes map[oci.Digest]*node, blobs map[oci.Digest]oci.Ref, d oci.Digest, mediaType string) *node {
	if n := nodes[d]; n != nil {
		return n
	}
	n := &node{digest: d}
	nodes[d] = n
	if n.body, n.err = in.readManifest(ctx, d); n.err != nil {
		return n
	}
	if n.manifest, n.err = oci.ParseManifest(mediaType, n.body); n.err != nil {
		return n
	}
	for _, ref := range n.manifest.Blobs {
		blobs[ref.Digest] = ref
	}
	for _, ref := range n.manifest.Foreign {
		if _, there := blobs[ref.Digest]; !there {
			ref.Field = foreign
			blobs[ref.Digest] = ref
		}
	}
	for _, ref := range n.manifest.Children {
		n.children = append(n.children, in.load(ctx, nodes, blobs, ref.Digest, ref.MediaType))
	}
	return n
}

// foreign is the Field of a layer that need not be there.
const foreign = "foreign"

func (in *incoming) readManifest(ctx context.Context, d oci.Digest) ([]byte, error) {
	r, size, err := in.from.Open(ctx, in.name, d)
	if err != nil {
		return nil, &SourceError{err}
	}
	body, err := readBytes(r, d, size, oci.MaxManifestBytes)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, &SourceError{err}
	}
	return body, nil
}

// pushBlobs pushes blobs that were not yet pushed by this call.
func (in *incoming) pushBlobs(ctx context.Context, blobs map[oci.Digest]oci.Ref) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelBlobs)
	for _, ref := range blobs {
		in.atResults.Lock()
		_, done := in.blobs[ref.Digest]
		in.atResults.Unlock()
		if done {
			continue
		}
		g.Go(func() error {
			err := in.pushBlob(gctx, ref)
			if fatal(gctx, err) {
				return err
			}
			in.atResults.Lock()
			defer in.atResults.Unlock()
			in.blobs[ref.Digest] = err
			return nil
		})
	}
	return g.Wait()
}

// pushBlob makes sure that the repository has a blob: it is there, or another repository of ours has it, or it is pushed.
func (in *incoming) pushBlob(ctx context.Context, ref oci.Ref) error {
	if in.cfg.DryRun {
		return in.wouldPush(ctx, ref)
	}
	defer in.hold(ref.Digest)()
	_, err := in.to.StatBlob(ctx, in.repo, ref.Digest)
	if errors.Is(err, oci.ErrBlobUnknown) {
		err = in.to.MountBlob(ctx, in.repo, ref.Digest, registry.Source{})
	}
	if err == nil {
		in.count(func(r *Report) { r.Present++ })
		return nil
	}
	if !errors.Is(err, oci.ErrBlobUnknown) {
		return err
	}
	r, size, err := in.open(ctx, ref)
	if r == nil {
		return err
	}
	err = in.to.PushBlob(ctx, in.repo, ref.Digest, counted{contextReader{ctx, r}, in.tally}, size)
	var body *registry.BodyError
	if errors.As(err, &body) {
		err = &SourceError{err}
	}
	if err = errors.Join(err, r.Close()); err == nil {
		in.copied(ref)
	}
	return err
}

// open opens a blob of the source. The reader is nil beside an error, and for a foreign layer that the source does not have.
func (in *incoming) open(ctx context.Context, ref oci.Ref) (io.ReadCloser, int64, error) {
	r, size, err := in.from.Open(ctx, in.name, ref.Digest)
	switch {
	case errors.Is(err, fs.ErrNotExist) && ref.Field == foreign:
		return nil, 0, nil
	case err != nil:
		return nil, 0, &SourceError{err}
	case size >= 0 && size != ref.Size:
		return nil, 0, errors.Join(&SourceError{fmt.Errorf("blob %s has %d bytes, and the manifest says %d", ref.Digest, size, ref.Size)}, r.Close())
	}
	in.wantBytes.Add(ref.Size)
	return r, size, nil
}

func (in *incoming) copied(ref oci.Ref) {
	in.tally.blobs.Add(1)
	in.count(func(r *Report) {
		in.wrote = true
		r.Blobs++
		r.Bytes += ref.Size
	})
}

// wouldPush is pushBlob of a dry run.
func (in *incoming) wouldPush(ctx context.Context, ref oci.Ref) error {
	_, err := in.to.Blob(ctx, in.repo, ref.Digest)
	if err == nil {
		in.count(func(r *Report) { r.Present++ })
		return nil
	}
	if !errors.Is(err, oci.ErrBlobUnknown) {
		return err
	}
	r, _, err := in.open(ctx, ref)
	if r == nil {
		return err
	}
	in.copied(ref)
	return r.Close()
}

// push pushes a manifest after its children, with a tag or without.
func (in *incoming) push(ctx context.Context, n *node, tag oci.Tag) error {
	err, done := in.manifests[n.digest]
	if done && (err != nil || tag == "") {
		return err
	}
	err = in.pushNode(ctx, n, tag)
	if !fatal(ctx, err) {
		in.manifests[n.digest] = err
	}
	return err
}

func (in *incoming) pushNode(ctx context.Context, n *node, tag oci.Tag) error {
	if n.err != nil {
		return n.err
	}
	for _, child := range n.children {
		if err := in.pushChild(ctx, child); err != nil {
			return fmt.Errorf("manifest %s of the index: %w", child.digest, err)
		}
	}
	for _, ref := range n.manifest.Blobs {
		if err := in.blobs[ref.Digest]; err != nil {
			return fmt.Errorf("%s: %w", ref.Field, err)
		}
	}
	if in.cfg.DryRun {
		in.pushed(n, tag)
		return nil
	}
	push := registry.Push{ContentType: n.manifest.MediaType, Body: n.body, Digest: n.digest}
	if tag != "" {
		push.Tags = []oci.Tag{tag}
	}
	_, err := in.to.PushManifest(ctx, in.repo, push)
	if errors.Is(err, oci.ErrManifestBlobUnknown) { // collected since: the blobs of a large repository may take longer than the grace
		if err := in.again(ctx, n); err != nil {
			return err
		}
		_, err = in.to.PushManifest(ctx, in.repo, push)
	}
	if err == nil {
		in.pushed(n, tag)
	}
	return err
}

// again pushes the blobs of a manifest, and the manifests of an index, although this call has pushed them before.
func (in *incoming) again(ctx context.Context, n *node) error {
	blobs := map[oci.Digest]oci.Ref{}
	for _, ref := range n.manifest.Blobs {
		delete(in.blobs, ref.Digest)
		blobs[ref.Digest] = ref
	}
	if err := in.pushBlobs(ctx, blobs); err != nil {
		return err
	}
	for _, child := range n.children {
		delete(in.manifests, child.digest)
		if err := in.pushChild(ctx, child); err != nil {
			return err
		}
	}
	return nil
}

// pushChild is push for a manifest that may be there already.
func (in *incoming) pushChild(ctx context.Context, n *node) error {
	if _, done := in.manifests[n.digest]; !done {
		_, err := in.to.Resolve(ctx, in.repo, oci.Reference{Digest: n.digest})
		if fatal(ctx, err) {
			return err
		}
		if err == nil {
			in.manifests[n.digest] = nil
			return nil
		}
	}
	return in.push(ctx, n, "")
}

func (in *incoming) pushed(n *node, tag oci.Tag) {
	_, before := in.manifests[n.digest]
	in.count(func(r *Report) {
		in.wrote = true
		if !before {
			r.Manifests++
		}
		if tag != "" {
			r.Tags++
		}
	})
}
