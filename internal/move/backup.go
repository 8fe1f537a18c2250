package move

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	"holdfast/internal/registry"
)

// Store is an open store, with the registry over it.
type Store struct {
	Registry registry.Registry
	Records  format.Store
	Owns     func(oci.Repository) bool // whether a repository that it has is served from it; nil: all are
}

// BackupConfig is what a backup can be told.
type BackupConfig struct {
	Keep   int  // so many snapshots, this one included, stay, and of blobs what they need; 0: all
	Verify bool // all repositories are looked at, and what the layout has of them is read, compared with its digest, and copied again when it is not that
}

// Backup adds a snapshot of all repositories to a layout. Every tag in it is what it was at one moment after the backup began, and everything in it has all that it
// refers to; what was acknowledged before, and neither changed nor deleted meanwhile, is in it, blobs that no manifest refers to excepted. Nothing holds the
// collector off: what it takes while the backup copies it was deleted before, or is found gone, and then the repository is looked at again.
// A repository in which nothing was written since the last snapshot costs one list. A snapshot appears whole, at the end, or not at all; what a backup that was
// killed has copied is not copied again. Two backups into one layout at once are refused (ErrLocked). tell as in Import.
// Errors: a layout that cannot be written, a store that does not answer, the context's. All else is a Problem: then the snapshot has all but that.
func Backup(ctx context.Context, stores []Store, layout *Layout, cfg BackupConfig, tell func(Progress)) (_ *Report, err error) {
	t := newTally(OpBackup, false)
	unlock, err := layout.lock()
	if err != nil {
		return &t.report, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := layout.removeUnfinished(); err != nil {
		return &t.report, err
	}
	b := &backup{tally: t, layout: layout, verify: cfg.Verify, now: map[oci.Repository]oci.Descriptor{}}
	if err := b.run(ctx, stores, cfg, tell); err != nil {
		return &t.report, err
	}
	return &t.report, nil
}

// backup is a snapshot that is being made.
type backup struct {
	*tally
	layout *Layout
	verify bool
	before map[oci.Repository]oci.Descriptor // of the newest snapshot
	kept   kept                              // in the root's store

	mu  sync.Mutex
	now map[oci.Repository]oci.Descriptor
}

func (b *backup) run(ctx context.Context, stores []Store, cfg BackupConfig, tell func(Progress)) error {
	snapshots, err := Snapshots(b.layout)
	if err != nil {
		return err
	}
	var newest Snapshot
	if len(snapshots) > 0 {
		newest = snapshots[len(snapshots)-1]
	}
	if b.before, err = b.layout.repositories(newest); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b.problem(Problem{Err: err.Error() + ": nothing can be restored from it. The new snapshot does not need it"})
		b.before = map[oci.Repository]oci.Descriptor{}
	}
	begun := stores[0].Records.Records.Now()
	defer b.telling(ctx, tell)()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelRepositories)
	for _, s := range stores {
		id, err := storeID(ctx, s.Records)
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		for repo, err := range repositories(gctx, s.Registry) {
			if err != nil {
				if cause := g.Wait(); cause != nil {
					return cause
				}
				return err
			}
			if s.Owns != nil && !s.Owns(repo) {
				continue
			}
			b.of.Add(1)
			g.Go(func() error { return b.repository(gctx, s, id, repo) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if b.kept, err = readAccess(ctx, stores[0].Records); err != nil {
		return err
	}
	return b.finish(ctx, snapshots, begun, cfg)
}

// storeID tells a store from all others: the versions of one mean nothing in another.
func storeID(ctx context.Context, s format.Store) (string, error) {
	head, err := format.Read[format.Marker](ctx, s, format.KeyFormat)
	return head.Head.Nonce, err
}

// repositories yields all repositories of a registry.
func repositories(ctx context.Context, r registry.Lists) func(func(oci.Repository, error) bool) {
	return func(yield func(oci.Repository, error) bool) {
		for last := ""; ; {
			page, err := r.Repositories(ctx, last, listPage)
			if err != nil {
				yield("", err)
				return
			}
			for _, repo := range page.Names {
				if !yield(repo, nil) {
					return
				}
				last = string(repo)
			}
			if !page.More {
				return
			}
		}
	}
}

const listPage = 1000

// finish writes the snapshot, forgets old ones, and removes what none needs.
func (b *backup) finish(ctx context.Context, snapshots []Snapshot, begun time.Time, cfg BackupConfig) error {
	if err := b.layout.showRepositories(b.before, b.now); err != nil {
		return err
	}
	index := newIndex()
	for _, repo := range slices.Sorted(maps.Keys(b.now)) {
		index.Manifests = append(index.Manifests, b.now[repo])
	}
	var err error
	if index.Annotations, err = b.kept.annotations(); err != nil {
		return err
	}
	desc, err := b.layout.WriteIndexBlob(ctx, index)
	if err != nil {
		return err
	}
	name := begun.UTC().Format(snapshotForm)
	if len(snapshots) > 0 && name <= snapshots[len(snapshots)-1].Name { // within one second, or the store's clock went back
		name = snapshots[len(snapshots)-1].Begun.Add(time.Second).UTC().Format(snapshotForm)
	}
	desc.Annotations = map[string]string{RefName: name, v1.AnnotationCreated: begun.UTC().Format(time.RFC3339)}
	all := append(slices.Clone(snapshots), Snapshot{Name: name, desc: desc})
	if cfg.Keep > 0 && len(all) > cfg.Keep {
		all = all[len(all)-cfg.Keep:]
	}
	top := newIndex()
	for _, s := range all {
		top.Manifests = append(top.Manifests, s.desc)
	}
	if err := b.layout.WriteIndex(top); err != nil {
		return err
	}
	b.count(func(r *Report) { r.Snapshot = name })
	if cfg.Keep == 0 || len(all) == len(snapshots)+1 {
		return nil
	}
	removed, err := b.layout.sweep(ctx, all)
	b.count(func(r *Report) { r.Removed = removed })
	return err
}

// rounds is how often a repository is looked at again whose parts went away while they were copied.
const rounds = 5

// repository copies what a repository has, unless nothing was written there since the last snapshot.
func (b *backup) repository(ctx context.Context, s Store, id string, repo oci.Repository) error {
	b.tally.repository.Store(string(repo))
	seen, err := list(ctx, s.Records, repo, id)
	if err != nil {
		return err
	}
	old, known := b.before[repo]
	if known {
		// One that is damaged is no more than not there: the repository is looked at as if it were new, and its index written again.
		if known, err = b.layout.intact(ctx, old.Digest, old.Size); err != nil {
			return err
		}
	}
	same := known && !b.verify && old.Annotations[noteState] == seen.state
	b.count(func(r *Report) {
		if r.Repositories++; same {
			r.Unchanged++
		}
	})
	b.repositories.Add(1)
	if same {
		b.set(repo, old)
		return nil
	}
	c := &copying{outgoing: &outgoing{tally: b.tally, from: s.Registry, layout: b.layout, repo: repo, verify: b.verify, done: map[oci.Digest]bool{}}, records: s.Records}
	if err := c.remember(old, known); err != nil {
		return err
	}
	var index v1.Index
	for round := 1; ; round++ {
		index, err = c.copyAll(ctx, seen)
		if err != nil || len(c.gone) == 0 || round == rounds {
			break
		}
		now, err := list(ctx, s.Records, repo, id)
		if err != nil {
			return err
		}
		if now.state == seen.state {
			break // nobody has deleted anything: it was never there
		}
		seen = now
	}
	if err != nil {
		return err
	}
	for _, p := range append(c.gone, c.bad...) {
		b.problem(p)
	}
	b.count(func(r *Report) { r.Tags += c.tags })
	desc, err := b.layout.WriteIndexBlob(ctx, index)
	if err != nil {
		return err
	}
	desc.Annotations = map[string]string{noteRepository: string(repo)}
	if len(c.gone)+len(c.bad) == 0 {
		desc.Annotations[noteState] = seen.state
	}
	b.set(repo, desc)
	return nil
}

func (b *backup) set(repo oci.Repository, desc oci.Descriptor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now[repo] = desc
}

// listed is what a list shows of a repository.
type listed struct {
	state     string // changes with every write of a manifest or a tag
	manifests []oci.Digest
	tags      []listedTag
}

type listedTag struct {
	name    oci.Tag
	version record.Version
}

// list lists a repository, in pages of 1,000 records.
func list(ctx context.Context, s format.Store, repo oci.Repository, id string) (listed, error) {
	var out listed
	sum := sha256.New()
	_, _ = io.WriteString(sum, id+"\n") // a hash takes everything
	prefix, manifests, tags := format.RepositoryPrefix(repo), format.ManifestPrefix(repo), format.TagPrefix(repo)
	for entry, err := range s.Records.List(ctx, prefix, "") {
		if err != nil {
			return out, fmt.Errorf("move: list %s: %w", prefix, err)
		}
		digestPart, isManifest := strings.CutPrefix(string(entry.Key), string(manifests))
		tag, isTag := strings.CutPrefix(string(entry.Key), string(tags))
		if entry.Size <= format.DeadSize || !isManifest && !isTag {
			continue
		}
		_, _ = fmt.Fprintf(sum, "%s %s\n", entry.Key, entry.Version)
		if isTag {
			out.tags = append(out.tags, listedTag{oci.Tag(tag), entry.Version})
			continue
		}
		d, err := format.PartDigest(digestPart)
		if err != nil {
			return out, err
		}
		out.manifests = append(out.manifests, d)
	}
	out.state = hex.EncodeToString(sum.Sum(nil))
	return out, nil
}

// copying is a repository that is being copied.
type copying struct {
	*outgoing
	records format.Store
	old     map[oci.Tag]oci.Descriptor // of the last snapshot, and of the look before

	found sync.Mutex
	gone  []Problem // of one look: went away meanwhile, or was never there
	bad   []Problem // of one look
	tags  int       // that were read
}

func (c *copying) remember(old oci.Descriptor, known bool) error {
	c.old = map[oci.Tag]oci.Descriptor{}
	if !known {
		return nil
	}
	index, err := c.layout.readIndexBlob(old)
	if err != nil {
		return fmt.Errorf("move: read what the last snapshot says of %s: %w", c.repo, err)
	}
	c.rememberTags(index.Manifests)
	return nil
}

func (c *copying) rememberTags(list []oci.Descriptor) {
	for _, desc := range list {
		if tag := desc.Annotations[RefName]; tag != "" {
			c.old[oci.Tag(tag)] = desc
		}
	}
}

// copyAll copies what a list has shown, and returns the repository as an index: its tags, then the manifests without one.
func (c *copying) copyAll(ctx context.Context, seen listed) (v1.Index, error) {
	c.gone, c.bad = nil, nil
	index := newIndex()
	tags, err := each(ctx, seen.tags, func(ctx context.Context, t listedTag) (oci.Descriptor, error) {
		desc, there, err := c.copyTag(ctx, t)
		if there && err == nil {
			return desc, nil
		}
		return oci.Descriptor{}, c.failed(ctx, string(t.name), desc.Digest, err)
	})
	if err != nil {
		return index, err
	}
	tagged := map[oci.Digest]bool{}
	for _, desc := range tags {
		tagged[desc.Digest] = true
	}
	for _, p := range append(slices.Clone(c.gone), c.bad...) {
		tagged[p.Digest] = true // named already
	}
	c.rememberTags(tags)
	rest := slices.DeleteFunc(slices.Clone(seen.manifests), func(d oci.Digest) bool { return tagged[d] })
	manifests, err := each(ctx, rest, func(ctx context.Context, d oci.Digest) (oci.Descriptor, error) {
		desc, err := c.whole(ctx, d, "", nil)
		switch {
		case err == nil:
			return desc, nil
		case errors.Is(err, oci.ErrManifestUnknown) && !c.present(ctx, d):
			return oci.Descriptor{}, nil // it died meanwhile
		}
		return oci.Descriptor{}, c.failed(ctx, "", d, err)
	})
	index.Manifests = append(tags, manifests...)
	return index, err
}

// each calls do for each of a list, some at once, and returns what it returns in their order; zero descriptors are left out.
func each[T any](ctx context.Context, list []T, do func(context.Context, T) (oci.Descriptor, error)) ([]oci.Descriptor, error) {
	out := make([]oci.Descriptor, len(list))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelManifests)
	for i, one := range list {
		g.Go(func() (err error) {
			out[i], err = do(gctx, one)
			return err
		})
	}
	err := g.Wait()
	return slices.DeleteFunc(out, func(d oci.Descriptor) bool { return d.Digest == "" }), err
}

// present reports whether the repository has a manifest, to the best of our knowledge.
func (c *copying) present(ctx context.Context, d oci.Digest) bool {
	_, err := c.from.Resolve(ctx, c.repo, oci.Reference{Digest: d})
	return !errors.Is(err, oci.ErrManifestUnknown)
}

// failed notes an error, and returns one that ends the backup.
func (c *copying) failed(ctx context.Context, tag string, d oci.Digest, err error) error {
	if err == nil || fatal(ctx, err) {
		return err
	}
	p := Problem{Repository: string(c.repo), Tag: tag, Digest: d, Err: err.Error()}
	c.found.Lock()
	defer c.found.Unlock()
	if isGone(err) {
		c.gone = append(c.gone, p)
	} else {
		c.bad = append(c.bad, p)
	}
	return nil
}

// copyTag copies what a tag names. false is a tag that is not there any more.
func (c *copying) copyTag(ctx context.Context, t listedTag) (oci.Descriptor, bool, error) {
	if old, there := c.old[t.name]; there && old.Annotations[noteVersion] == string(t.version) {
		_, err := c.whole(ctx, old.Digest, old.MediaType, nil) // the last snapshot may have been made with a blob that was removed since
		return old, true, err
	}
	tag, err := format.Read[format.Tag](ctx, c.records, format.TagKey(c.repo, t.name))
	if err != nil {
		return oci.Descriptor{}, false, err
	}
	// What clients see is the registry's to say: a tag may be left of a manifest whose life is over.
	stored, err := c.from.Resolve(ctx, c.repo, oci.Reference{Tag: t.name})
	if errors.Is(err, oci.ErrManifestUnknown) || errors.Is(err, oci.ErrNameUnknown) {
		return oci.Descriptor{}, false, nil
	}
	if err != nil {
		return oci.Descriptor{}, false, err
	}
	c.found.Lock()
	c.tags++
	c.found.Unlock()
	desc, err := c.whole(ctx, stored.Digest, stored.MediaType, stored.Body)
	desc.Annotations = map[string]string{RefName: string(t.name)}
	if tag.Head.Digest == stored.Digest { // else it was set again between the two reads
		desc.Annotations[noteVersion] = string(tag.Version)
		desc.Annotations[notePushed] = tag.Head.AsPrevious().T.UTC().Format(time.RFC3339Nano)
		if tag.Head.By != "" {
			desc.Annotations[noteBy] = tag.Head.By
		}
	}
	desc.Digest = stored.Digest
	return desc, true, err
}
