package collect

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// parallel bounds the requests that a collector has under way.
const parallel = 8

// view is what one look at a repository shows: keys, versions and times, and once they are read, what tags and manifests say.
type view struct {
	repo      oci.Repository
	tags      []tagSeen
	manifests map[oci.Digest]*manifestSeen
	inOrder   []*manifestSeen // the same, as they were listed
	markers   []oci.Digest    // manifests that have markers
	subjects  []record.Entry  // lists of referrers
	newest    time.Time       // when a tag or a manifest was last written
}

type tagSeen struct {
	record.Entry
	name oci.Tag
	knownTag
}

type manifestSeen struct {
	record.Entry
	digest oci.Digest
	parsed *oci.Manifest // nil for a tombstone
	void   bool
}

func (m *manifestSeen) dead() bool { return m.Size == format.DeadSize || m.void }

// add notes a key of the repository. rest is the key without the repository's prefix.
func (v *view) add(entry record.Entry, rest string) error {
	kind, name, _ := strings.Cut(rest, "/")
	switch kind {
	case "t":
		v.tags = append(v.tags, tagSeen{Entry: entry, name: oci.Tag(name)})
	case "m":
		d, err := format.PartDigest(name)
		if err != nil {
			return fmt.Errorf("collect: %s: %w", entry.Key, err)
		}
		m := &manifestSeen{Entry: entry, digest: d}
		v.manifests[d] = m
		v.inOrder = append(v.inOrder, m)
	case "g":
		part, _, _ := strings.Cut(name, "/")
		d, err := format.PartDigest(part)
		if err != nil {
			return fmt.Errorf("collect: %s: %w", entry.Key, err)
		}
		if n := len(v.markers); n == 0 || v.markers[n-1] != d {
			v.markers = append(v.markers, d)
		}
		return nil
	case "s":
		v.subjects = append(v.subjects, entry)
		return nil
	case "f":
		return nil
	default:
		return fmt.Errorf("collect: %s is not a key that this version knows", entry.Key)
	}
	if entry.Modified.After(v.newest) {
		v.newest = entry.Modified
	}
	return nil
}

func newView(repo oci.Repository) *view {
	return &view{repo: repo, manifests: map[oci.Digest]*manifestSeen{}}
}

// look lists a repository, or only some of its folders, and reads what is not known of its tags and manifests.
func (c *Collector) look(ctx context.Context, repo oci.Repository, folders ...record.Key) (*view, error) {
	v := newView(repo)
	prefix := format.RepositoryPrefix(repo)
	if len(folders) == 0 {
		folders = []record.Key{prefix}
	}
	for _, folder := range folders {
		for entry, err := range c.store.Records.List(ctx, folder, "") {
			if err != nil {
				return nil, fmt.Errorf("collect: list %s: %w", folder, err)
			}
			if err := v.add(entry, strings.TrimPrefix(string(entry.Key), string(prefix))); err != nil {
				return nil, err
			}
		}
	}
	return v, c.understand(ctx, v)
}

// lookAgain is the second look: manifests and tags, listed after the fence was raised.
func (c *Collector) lookAgain(ctx context.Context, repo oci.Repository) (*view, error) {
	return c.look(ctx, repo, format.ManifestPrefix(repo), format.TagPrefix(repo))
}

// understand reads the tags and manifests that are not known yet in the version that was listed.
func (c *Collector) understand(ctx context.Context, v *view) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i := range v.tags {
		t := &v.tags[i]
		if known, ok := c.tags.Get(t.Key); ok && known.version == t.Version {
			t.knownTag = known
			continue
		}
		g.Go(func() error { return c.readTag(gctx, t) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	g, gctx = errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, m := range v.inOrder {
		if m.Size == format.DeadSize {
			continue
		}
		if parsed, ok := c.manifests.Get(m.digest); ok {
			m.parsed = parsed
			continue
		}
		g.Go(func() error { return c.readManifest(gctx, m) })
	}
	return g.Wait()
}

func (c *Collector) readTag(ctx context.Context, t *tagSeen) error {
	tag, err := format.Read[format.Tag](ctx, c.store, t.Key)
	if err != nil {
		return err
	}
	if tag.Exists() {
		t.Version, t.Modified = tag.Version, tag.Modified
	}
	if !tag.Present() && !tag.Is(format.Dead) {
		t.knownTag = knownTag{version: tag.Version} // gone since it was listed, or void
		return nil
	}
	t.knownTag = knowTag(tag)
	if len(tag.Body) > 0 && !c.manifests.Contains(t.digest) {
		if _, err := c.parse(t.digest, tag.Head.MediaType, tag.Body); err != nil {
			return err
		}
	}
	c.tags.Add(t.Key, t.knownTag)
	return nil
}

// knowTag is what a tag, or a tombstone, says.
func knowTag(tag format.Stored[format.Tag]) knownTag {
	h := &tag.Head
	known := knownTag{
		version: tag.Version, dead: tag.Is(format.Dead), digest: h.Digest, life: h.Generation,
		large: h.Size > format.InlineBytes, pushed: h.AsPrevious().T,
	}
	for i, p := range h.Previous {
		until := h.Until(i)
		if i == 0 && !known.dead && tag.Modified.After(until) {
			until = tag.Modified // the grace begins when the store says, also where who set the tag was behind
		}
		known.kept = append(known.kept, keptDigest{p.Digest, until})
	}
	return known
}

func (c *Collector) readManifest(ctx context.Context, m *manifestSeen) error {
	s, err := format.Read[format.Manifest](ctx, c.store, m.Key)
	if err != nil {
		return err
	}
	if s.Exists() {
		m.Version, m.Modified = s.Version, s.Modified
	}
	if !s.Present() {
		m.void = true // or deleted since it was listed
		return nil
	}
	m.parsed, err = c.parse(m.digest, s.Head.MediaType, s.Body)
	return err
}

// parse reads a manifest's references and remembers them. Its bytes are checked: those of another manifest would name other blobs.
func (c *Collector) parse(d oci.Digest, mediaType string, body []byte) (*oci.Manifest, error) {
	if d.Algorithm().FromBytes(body) != d {
		return nil, fmt.Errorf("collect: the stored manifest %s has other bytes than its digest says: push it again", d)
	}
	parsed, err := oci.ParseManifest(mediaType, body)
	if err != nil {
		return nil, fmt.Errorf("collect: the stored manifest %s cannot be read: %s", d, err.Error()) // not a client's error
	}
	c.manifests.Add(d, parsed)
	return parsed, nil
}
