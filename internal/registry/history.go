package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/format"
	"holdfast/internal/oci"
)

// TagHistory is what is known of a tag: what it names now, and what it named before. All times are the store's.
type TagHistory struct {
	Digest oci.Digest `json:"digest,omitempty"` // what it names; "" when it is deleted
	Before []Named    `json:"before"`           // newest first; a digest is there for each time that the tag named it
	By     string     `json:"by,omitempty"`     // who pushed or deleted it last; "retention" for a rule
	// Since is when it was last pushed, or deleted, at the latest: a DELETE of what it once named renews the tombstone. Zero when neither is known.
	Since time.Time `json:"since,omitzero"`
}

// Named is a time for which a tag named a digest.
type Named struct {
	Digest    oci.Digest `json:"digest"`
	Since     time.Time  `json:"since,omitzero"` // when it was last pushed; zero when that is not known
	By        string     `json:"by,omitempty"`
	Until     time.Time  `json:"until,omitzero"` // when it was deleted, or set to what came after, at the latest; zero when that is not known
	Deleted   bool       `json:"deleted,omitempty"`
	DeletedBy string     `json:"deletedBy,omitempty"`

	Present bool `json:"present"` // the repository has the manifest: Restore can set the tag to it, unless parts of it are gone
	// KeptUntil is until when the collector leaves it alone for this tag's sake, as long as the tag tells of it: it forgets the oldest when it moves
	// often, or is deleted. Others may keep it for longer. A DELETE of the manifest asks nobody. Zero when nothing is promised.
	KeptUntil time.Time `json:"keptUntil,omitzero"`
}

// History returns what is known of a tag with one request, and one for each digest that it named before: 8 at most. A tag tells
// of its newest changes only, a deleted one of few, and of none once its tombstone is gone, a day or the grace after the delete; FullHistory knows
// of more. Errors: MANIFEST_UNKNOWN for a tag of which nothing is known.
func (l *Local) History(ctx context.Context, repo oci.Repository, name oci.Tag) (*TagHistory, error) {
	return l.history(ctx, repo, name, false)
}

// FullHistory is History and, after that, the other digests that the tag was ever set to, by the markers, which stay as long as their manifests and a
// day or so longer: newest first, with the time when it was first set to them for Since. A push that failed may have left one that the tag
// never named. It lists all markers of the repository, one for each tag that each manifest ever had, with one request after the other for each 1,000
// of them: 100 for 100,000 manifests with a tag each. Then it reads each manifest that it tells of.
func (l *Local) FullHistory(ctx context.Context, repo oci.Repository, name oci.Tag) (*TagHistory, error) {
	return l.history(ctx, repo, name, true)
}

func (l *Local) history(ctx context.Context, repo oci.Repository, name oci.Tag, markers bool) (*TagHistory, error) {
	tag, err := read[tagHead](ctx, l, format.TagKey(repo, name))
	if err != nil {
		return nil, err
	}
	h := l.told(tag)
	if markers {
		if err := l.addMarked(ctx, repo, name, h); err != nil {
			return nil, err
		}
	}
	if h.Digest == "" && len(h.Before) == 0 {
		return nil, errManifestUnknown(oci.Reference{Tag: name})
	}
	if err := l.lookForManifests(ctx, repo, h.Before); err != nil {
		return nil, err
	}
	return h, nil
}

// told is what a tag, or a tombstone, tells by itself.
func (l *Local) told(tag stored[tagHead]) *TagHistory {
	h := &TagHistory{Before: []Named{}}
	if !tag.Present() && !tag.Is(dead) {
		return h
	}
	was := tag.Head.AsPrevious()
	h.Digest, h.Since, h.By = was.Digest, was.T, was.By
	if tag.Is(dead) {
		h.Digest, h.Since, h.By = "", was.Deleted, was.DeletedBy
		if was.Digest != "" {
			h.Before = append(h.Before, named(was, was.Deleted, tag.Modified.Add(l.ages.Grace)))
		}
	}
	for i, p := range tag.Head.Previous {
		until := tag.Head.Until(i)
		h.Before = append(h.Before, named(p, until, until.Add(l.ages.Grace)))
	}
	return h
}

func named(p format.Previous, until, kept time.Time) Named {
	n := Named{Digest: p.Digest, Since: p.T, By: p.By, Until: until, KeptUntil: kept}
	if !p.Deleted.IsZero() {
		n.Until, n.Deleted, n.DeletedBy = p.Deleted, true, p.DeletedBy
		if p.T.Equal(p.Deleted) {
			n.Since = time.Time{}
		}
	}
	return n
}

// addMarked adds what only the markers tell.
func (l *Local) addMarked(ctx context.Context, repo oci.Repository, name oci.Tag, h *TagHistory) error {
	known := map[oci.Digest]bool{h.Digest: true}
	for _, n := range h.Before {
		known[n.Digest] = true
	}
	var more []Named
	prefix := format.MarkersPrefix(repo)
	for entry, err := range l.records.List(ctx, prefix, "") {
		if err != nil {
			return fmt.Errorf("registry: list %s: %w", prefix, err)
		}
		part, of, _ := strings.Cut(strings.TrimPrefix(string(entry.Key), string(prefix)), "/")
		if oci.Tag(of) != name {
			continue
		}
		d, err := format.PartDigest(part)
		if err != nil {
			return fmt.Errorf("registry: list %s: %s is not a marker's key: %w", prefix, entry.Key, err)
		}
		if !known[d] {
			more = append(more, Named{Digest: d, Since: entry.Modified})
		}
	}
	slices.SortStableFunc(more, func(a, b Named) int { return b.Since.Compare(a.Since) })
	h.Before = append(h.Before, more...)
	return nil
}

// lookForManifests looks which manifests are there, each once, and says of each of them all how long it is kept: for its last time's sake.
func (l *Local) lookForManifests(ctx context.Context, repo oci.Repository, before []Named) error {
	first := map[oci.Digest]int{}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for i := range before {
		n := &before[i]
		if _, again := first[n.Digest]; again {
			continue
		}
		first[n.Digest] = i
		g.Go(func() error {
			m, err := read[manifestHead](gctx, l, format.ManifestKey(repo, n.Digest))
			n.Present = m.Present()
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i := range before {
		n, newest := &before[i], before[first[before[i].Digest]]
		if n.Present = newest.Present; n.Present {
			n.KeptUntil = newest.KeptUntil
		} else {
			n.KeptUntil = time.Time{}
		}
	}
	return nil
}
