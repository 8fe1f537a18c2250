package fsck

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// linksAtOnce is how many links of one digest are checked beside its record; a digest with more has its record read again for the next.
const linksAtOnce = 100

// checkBlobs reads the sorted lists of records and links side by side, and checks of each digest the record and its links.
func (c *checker) checkBlobs(ctx context.Context) error {
	p := c.newPool()
	for group, err := range c.digests(ctx) {
		if err != nil {
			return errors.Join(err, p.wait(ctx))
		}
		if err := p.run(ctx, func(ctx context.Context) error { return c.checkDigest(ctx, group) }); err != nil {
			return err
		}
	}
	return p.wait(ctx)
}

// group is a digest with some of its links.
type group struct {
	digest oci.Digest
	record bool // there is a record, and it is to be checked
	links  []oci.Repository
}

// digests yields the digests of which there is a record or a link, in the order of their keys.
func (c *checker) digests(ctx context.Context) iter.Seq2[group, error] {
	return func(yield func(group, error) bool) {
		records, stopRecords := iter.Pull2(c.addresses(ctx, folderRecords))
		defer stopRecords()
		links, stopLinks := iter.Pull2(c.addresses(ctx, folderLinks))
		defer stopLinks()
		rec, recErr, moreRecords := records()
		link, linkErr, moreLinks := links()
		for moreRecords || moreLinks {
			if err := errors.Join(recErr, linkErr); err != nil {
				yield(group{}, err)
				return
			}
			g := group{digest: link.digest}
			if moreRecords && (!moreLinks || format.BlobKey(rec.digest) <= format.BlobKey(link.digest)) {
				g.digest, g.record = rec.digest, true
				rec, recErr, moreRecords = records()
			}
			for moreLinks && linkErr == nil && link.digest == g.digest && len(g.links) < linksAtOnce {
				g.links = append(g.links, link.repo)
				link, linkErr, moreLinks = links()
			}
			if !yield(g, nil) {
				return
			}
		}
	}
}

// addresses yields the keys of a folder, taken apart. Those that the format does not make are suspected.
func (c *checker) addresses(ctx context.Context, folder record.Key) iter.Seq2[address, error] {
	return func(yield func(address, error) bool) {
		for entry, err := range c.store.Records.List(ctx, folder, "") {
			if err != nil {
				yield(address{}, fmt.Errorf("fsck: list %s: %w", folder, err))
				return
			}
			a, ok := parseKey(entry.Key)
			if !ok {
				c.suspectUnknown(entry.Key)
				continue
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}

func (c *checker) checkDigest(ctx context.Context, g group) error {
	v := c.newView()
	if g.record {
		key := format.BlobKey(g.digest)
		c.count(Records, 1)
		if err := c.first(ctx, v, c.lookAtKey(key, address{class: Records, digest: g.digest})); err != nil {
			return err
		}
		if err := c.first(ctx, v, c.lookAtRecord(g.digest)); err != nil {
			return err
		}
		if err := c.nameRecord(ctx, v, key, c.names.add); err != nil {
			return err
		}
		rec, err := load[format.Blob](ctx, v, key)
		if err != nil {
			return err
		}
		if rec.Present() {
			c.addBytes(func(b *Bytes) { b.Blobs += rec.Head.Size })
		}
	}
	c.count(Links, int64(len(g.links)))
	for _, repo := range g.links {
		key := format.LinkKey(repo, g.digest)
		if err := c.first(ctx, v, c.lookAtKey(key, address{class: Links, repo: repo, digest: g.digest})); err != nil {
			return err
		}
		if err := c.first(ctx, v, c.lookAtLink(repo, g.digest)); err != nil {
			return err
		}
		link, err := load[format.Link](ctx, v, key)
		if err != nil {
			return err
		}
		if link.Present() {
			c.addBytes(func(b *Bytes) { b.Links += link.Head.Size })
		}
	}
	return nil
}

// nameRecord yields the segments that a record names.
func (c *checker) nameRecord(ctx context.Context, v *view, key record.Key, yield func(record.Key, data.ID)) error {
	rec, err := load[format.Blob](ctx, v, key)
	if err != nil {
		return err
	}
	for _, s := range namedBy(rec) {
		if isID(s.ID) {
			yield(key, s.ID)
		}
	}
	return nil
}

// lookAtRecord finds a record whose bytes are not there. I3: they leave only once it is doomed.
func (c *checker) lookAtRecord(d oci.Digest) look {
	return func(ctx context.Context, v *view) ([]Finding, error) {
		key := format.BlobKey(d)
		rec, err := load[format.Blob](ctx, v, key)
		if err != nil || !rec.Present() {
			return nil, err
		}
		missing, detail, err := c.missing(ctx, rec.Head.Segments)
		if err != nil || missing == "" {
			return nil, err
		}
		return []Finding{find(RecordSegmentMissing, detail, key, segmentKey(missing))}, nil
	}
}

// lookAtLink compares a link that readers see with its record. I2 holds at every moment, but for a record that has just been found to be
// damaged: its links are marked one after the other. A link may name older segments than its record; then readers ask the record.
func (c *checker) lookAtLink(repo oci.Repository, d oci.Digest) look {
	return func(ctx context.Context, v *view) ([]Finding, error) {
		key, of := format.LinkKey(repo, d), format.BlobKey(d)
		link, err := load[format.Link](ctx, v, key)
		if err != nil || !link.Present() {
			return nil, err
		}
		rec, err := load[format.Blob](ctx, v, of)
		if err != nil {
			return nil, err
		}
		keys := keysOf(key, of)
		switch {
		case rec.bad != nil: // a finding of its own
			return nil, nil
		case rec.Is(format.Corrupt):
			if !c.settled(rec.Stamp) {
				return nil, nil
			}
			return []Finding{findf(LinkRecordCorrupt, keys, "the link is %s, its record is corrupt", link.state)}, nil
		case !rec.Present():
			return []Finding{findf(LinkRecordMissing, keys, "the link is %s, its record is %s", link.state, describe(rec.facts))}, nil
		case link.Head.Size != rec.Head.Size:
			return []Finding{findf(LinkSizeWrong, keys, "the link says %d bytes, its record %d", link.Head.Size, rec.Head.Size)}, nil
		case !sameSegments(link.Head.Segments, rec.Head.Segments) && c.settled(rec.Stamp, link.Stamp):
			return []Finding{findf(LinkOutdated, keys, "the link names %s, its record %s", namesOf(link.Head.Segments), namesOf(rec.Head.Segments))}, nil
		}
		return nil, nil
	}
}

// describe names a value's state for a report.
func describe(f facts) string {
	switch {
	case !f.exists:
		return "not there"
	case f.bad != nil:
		return "unreadable"
	case f.state == format.Absent:
		return "void"
	}
	return string(f.state)
}

// namesOf names segments for a report: some of them.
func namesOf(segments []format.Segment) string {
	const shown = 3
	var all []string
	for _, s := range segments[:min(shown, len(segments))] {
		all = append(all, oci.Clip(string(s.ID)))
	}
	if len(segments) > shown {
		all = append(all, fmt.Sprintf("and %d more", len(segments)-shown))
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, " ")
}

func sameSegments(a, b []format.Segment) bool { return slices.Equal(a, b) }

func keysOf(keys ...record.Key) []record.Key { return keys }

func isDigest(d oci.Digest) bool {
	_, err := oci.ParseDigest(string(d))
	return err == nil
}
