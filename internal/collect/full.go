package collect

import (
	"context"
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strings"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// references is the set of pairs of a repository and a blob that one of its manifests refers to, as 64-bit hashes under a random seed: two
// pairs that share one keep each other until the next pass, which loses nothing. It chooses candidates; whether a link dies is decided by
// the second look. When there are more pairs than may be remembered it holds a share of the digests, and the pass is made once for each.
type references struct {
	seed   maphash.Seed
	set    map[uint64]struct{}
	opaque map[string]bool // repositories that were not understood
	most   int
	shares int // a power of two, at most maxShares
	share  int
}

const maxShares = 256

func newReferences(most int) *references {
	return &references{seed: maphash.MakeSeed(), set: map[uint64]struct{}{}, opaque: map[string]bool{}, most: most, shares: 1}
}

// covers reports whether a digest, as a part of a key, is in the share.
func (r *references) covers(digestPart string) bool {
	_, hex, _ := strings.Cut(digestPart, "-")
	var first int
	if _, err := fmt.Sscanf(hex, "%02x", &first); err != nil {
		return false
	}
	return first%r.shares == r.share
}

func (r *references) hash(repositoryPart, digestPart string) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	_, _ = h.WriteString(repositoryPart) // never fails
	_ = h.WriteByte('/')
	_, _ = h.WriteString(digestPart)
	return h.Sum64()
}

// add notes what the manifests of a repository refer to. full says that there was no room: more shares are needed.
func (r *references) add(v *view) (full bool) {
	part := format.EscapeRepository(v.repo)
	for _, m := range v.inOrder {
		if m.dead() {
			continue
		}
		for _, d := range m.parsed.BlobDigests() {
			if p := format.DigestPart(d); r.covers(p) {
				r.set[r.hash(part, p)] = struct{}{}
			}
		}
	}
	return len(r.set) > r.most && r.shares < maxShares
}

func (r *references) has(repositoryPart, digestPart string) bool {
	_, has := r.set[r.hash(repositoryPart, digestPart)]
	return has || r.opaque[repositoryPart]
}

// split halves the share: what is not in it any more is dropped with the next reading.
func (r *references) split() {
	r.shares *= 2
	r.set = map[uint64]struct{}{}
}

// allRepositories collects every repository after the cursor, and notes what the manifests of all of them refer to.
func (c *Collector) allRepositories(ctx context.Context, cursor record.Key, save func(record.Key) error) (*references, error) {
	refs := newReferences(c.cfg.MaxReferences)
	n, full := 0, false
	err := c.eachRepository(ctx, func(prefix record.Key, v *view) error {
		if prefix > cursor {
			if err := c.collectView(ctx, v, nil); err != nil {
				return err
			}
			if n++; n%c.cfg.SaveEvery == 0 {
				if err := save(prefix); err != nil {
					return err
				}
			}
		}
		full = full || refs.add(v)
		if full {
			refs.set = map[uint64]struct{}{} // read again, in shares
		}
		return nil
	}, refs)
	if err == nil && full {
		refs.split()
		err = c.readReferences(ctx, refs)
	}
	return refs, err
}

// readReferences fills the set with its share, halving it while it does not fit.
func (c *Collector) readReferences(ctx context.Context, refs *references) error {
	for {
		full := false
		refs.set, refs.opaque = map[uint64]struct{}{}, map[string]bool{}
		err := c.eachRepository(ctx, func(_ record.Key, v *view) error {
			full = full || refs.add(v)
			return nil
		}, refs)
		if err != nil || !full {
			return err
		}
		refs.split()
	}
}

// eachRepository reads the contents of all repositories in one stream. One that cannot be understood becomes opaque in refs.
func (c *Collector) eachRepository(ctx context.Context, each func(prefix record.Key, v *view) error, refs *references) error {
	var v *view
	var at record.Key
	var broken error
	done := func() error {
		if v == nil {
			return nil
		}
		err := broken
		if err == nil {
			err = c.understand(ctx, v)
		}
		if err == nil {
			err = each(at, v)
		}
		if err != nil {
			refs.opaque[format.EscapeRepository(v.repo)] = true
		}
		return c.stepOver(ctx, "repository "+string(v.repo), err)
	}
	for entry, err := range c.store.Records.List(ctx, format.PrefixContents, "") {
		if err != nil {
			return fmt.Errorf("collect: list %s: %w", format.PrefixContents, err)
		}
		prefix, name, rest, ok := cutContents(entry.Key)
		if !ok {
			c.report.skip("%s is not a key that this version knows", entry.Key)
			continue
		}
		if prefix != at {
			if err := done(); err != nil {
				return err
			}
			v, at, broken = newView(format.UnescapeRepository(name)), prefix, nil
		}
		if err := v.add(entry, rest); err != nil && broken == nil {
			broken = err
		}
	}
	return done()
}

// cutContents cuts r/<h2>/<repository>/<rest>.
func cutContents(key record.Key) (prefix record.Key, repository, rest string, ok bool) {
	parts := strings.SplitN(string(key), "/", 4)
	if len(parts) < 4 {
		return "", "", "", false
	}
	return key[:len(key)-len(parts[3])], parts[2], parts[3], true
}

// candidates are links that no manifest seemed to refer to, by repository.
type candidates struct {
	of   map[oci.Repository]map[oci.Digest]bool
	size int
}

const maxCandidates = 64 << 10

// allLinks streams the records of blobs and their links side by side, both in the order of the digests, and collects links without a
// reference, records without a link, and tombstones.
func (c *Collector) allLinks(ctx context.Context, refs *references, cursor record.Key, save func(record.Key) error) error {
	if refs == nil { // taken over from another collector
		refs = newReferences(c.cfg.MaxReferences)
		if err := c.readReferences(ctx, refs); err != nil {
			return err
		}
	}
	for {
		if err := c.linksOfShare(ctx, refs, cursor, save); err != nil {
			return err
		}
		if refs.share++; refs.share == refs.shares {
			return c.purgeRepositories(ctx)
		}
		cursor = ""
		if err := c.readReferences(ctx, refs); err != nil {
			return err
		}
	}
}

func (c *Collector) linksOfShare(ctx context.Context, refs *references, cursor record.Key, save func(record.Key) error) error {
	var after record.Key
	if cursor != "" {
		after = format.PrefixBlobs + cursor
	}
	nextBlob, stopBlobs := iter.Pull2(c.wellFormed(c.store.Records.List(ctx, format.PrefixBlobs, after), 2))
	defer stopBlobs()
	if cursor != "" {
		after = format.PrefixLinks + cursor + "0" // after all that begins with cursor and a slash
	}
	nextLink, stopLinks := iter.Pull2(c.wellFormed(c.store.Records.List(ctx, format.PrefixLinks, after), 3))
	defer stopLinks()
	d := &digests{c: c, refs: refs, found: candidates{of: map[oci.Repository]map[oci.Digest]bool{}}}
	blob, blobErr, blobs := nextBlob()
	link, linkErr, links := nextLink()
	for n := 1; blobs || links; n++ {
		if err := firstError(ctx, blobErr, linkErr); err != nil {
			return fmt.Errorf("collect: list blobs and links: %w", err)
		}
		var at string
		if blobs {
			at = strings.TrimPrefix(string(blob.Key), string(format.PrefixBlobs))
		}
		if links {
			of := strings.TrimPrefix(string(link.Key), string(format.PrefixLinks))
			if of = of[:max(strings.LastIndexByte(of, '/'), 0)]; !blobs || of < at {
				at = of
			}
		}
		var here []record.Entry
		for links && linkErr == nil && strings.HasPrefix(string(link.Key), string(format.PrefixLinks)+at+"/") {
			here = append(here, link)
			link, linkErr, links = nextLink()
		}
		var own *record.Entry
		if blobs && string(blob.Key) == string(format.PrefixBlobs)+at {
			entry := blob
			own = &entry
			blob, blobErr, blobs = nextBlob()
		}
		if err := d.see(ctx, at, own, here); err != nil {
			return err
		}
		if n%(c.cfg.SaveEvery*16) == 0 {
			if err := d.flush(ctx); err != nil {
				return err
			}
			if err := save(record.Key(at)); err != nil {
				return err
			}
		}
	}
	return d.flush(ctx)
}

// wellFormed leaves out keys that the format would not make: those of other parts than <folder>/<h2>/<digest>, so many of them after the folder.
func (c *Collector) wellFormed(list iter.Seq2[record.Entry, error], parts int) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		for entry, err := range list {
			if err == nil && !wellFormed(entry.Key, parts) {
				c.report.skip("%s is not a key that this version knows", entry.Key)
				continue
			}
			if !yield(entry, err) {
				return
			}
		}
	}
}

func wellFormed(key record.Key, parts int) bool {
	p := strings.Split(string(key), "/")
	if len(p) != parts+1 || len(p[1]) != 2 || p[len(p)-1] == "" {
		return false
	}
	d, err := format.PartDigest(p[2])
	return err == nil && d.Encoded()[:2] == p[1]
}

func firstError(ctx context.Context, errs ...error) error {
	for _, err := range append([]error{ctx.Err()}, errs...) {
		if err != nil {
			return err
		}
	}
	return nil
}

// digests is what a full pass does at each digest.
type digests struct {
	c     *Collector
	refs  *references
	found candidates
}

// see looks at one digest: its record, if there is one, and its links, as they are listed.
func (d *digests) see(ctx context.Context, at string, own *record.Entry, links []record.Entry) error {
	part := at[strings.LastIndexByte(at, '/')+1:]
	digest, err := format.PartDigest(part)
	if err != nil {
		return err // wellFormed has looked
	}
	if !d.refs.covers(part) {
		return nil
	}
	d.c.report.Records++
	holds := false
	for _, link := range links {
		if link.Size == format.DeadSize {
			if err := d.c.purge(ctx, link); err != nil {
				return err
			}
			continue
		}
		holds = true
		repository := string(link.Key[strings.LastIndexByte(string(link.Key), '/')+1:])
		if d.refs.has(repository, part) || d.c.age(link.Modified) < min(d.c.store.Ages.Grace, d.c.store.Ages.Session) {
			continue
		}
		d.found.add(format.UnescapeRepository(repository), digest)
	}
	switch {
	case own == nil || holds:
	case own.Size == format.DeadSize:
		return d.c.purge(ctx, *own)
	default:
		return d.c.stepOver(ctx, string(digest), d.c.CollectDigest(ctx, digest))
	}
	if d.found.size > maxCandidates {
		return d.flush(ctx)
	}
	return nil
}

func (f *candidates) add(repo oci.Repository, d oci.Digest) {
	if f.of[repo] == nil {
		f.of[repo] = map[oci.Digest]bool{}
	}
	f.of[repo][d] = true
	f.size++
}

// flush collects the candidates, and the records of those whose links are gone.
func (d *digests) flush(ctx context.Context) error {
	for _, repo := range slices.Sorted(maps.Keys(d.found.of)) {
		v, err := d.c.look(ctx, repo, format.ManifestPrefix(repo))
		var died []oci.Digest
		if err == nil {
			died, err = d.c.collectLinks(ctx, v, d.found.of[repo])
		}
		if err := d.c.stepOver(ctx, "repository "+string(repo), err); err != nil {
			return err
		}
		if err := d.c.collectDigests(ctx, died); err != nil {
			return err
		}
	}
	d.found = candidates{of: map[oci.Repository]map[oci.Digest]bool{}}
	return nil
}

// purgeRepositories removes the tombstones of repositories.
func (c *Collector) purgeRepositories(ctx context.Context) error {
	for entry, err := range c.store.Records.List(ctx, format.PrefixRepositories, "") {
		if err != nil {
			return fmt.Errorf("collect: list %s: %w", format.PrefixRepositories, err)
		}
		if entry.Size != format.DeadSize {
			continue
		}
		if err := c.purge(ctx, entry); err != nil {
			return err
		}
	}
	return nil
}
