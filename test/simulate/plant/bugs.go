package plant

// Files of the registry.
const (
	blobs      = "internal/registry/blobs.go"
	push       = "internal/registry/push.go"
	commit     = "internal/registry/commit.go"
	corrupt    = "internal/registry/corrupt.go"
	deletes    = "internal/registry/delete.go"
	mount      = "internal/registry/mount.go"
	refer      = "internal/registry/refer.go"
	references = "internal/registry/references.go"
	resolve    = "internal/registry/resolve.go"
	segments   = "internal/registry/segments.go"
	store      = "internal/format/store.go"
	session    = "internal/registry/session.go"
	uploads    = "internal/registry/uploads.go"
)

// Bugs returns all bugs.
func Bugs() []Bug {
	var all []Bug
	for _, list := range [][]Bug{pushBugs(), deleteBugs(), blobBugs(), uploadBugs(), claimBugs(), damageBugs(), storeBugs(), collectBugs(), restoreBugs(), conditionBugs(), rememberBugs()} {
		all = append(all, list...)
	}
	return all
}

// one is a bug of one edit.
func one(name, rule, scenarios, file, before, after string) Bug {
	return Bug{name, rule, scenarios, []Edit{{file, before, after}}}
}

// pushBugs break the order of a manifest's push.
func pushBugs() []Bug {
	return []Bug{
		one("tag-before-manifest", "a tag is set before its manifest is written", "manifest|tag", push,
			`	if err := p.writeManifest(ctx); err != nil {
`, `	if planted("tag-before-manifest") {
		p.since = p.l.records.Now()
		if err := p.setTags(ctx); err != nil {
			return err
		}
	}
	if err := p.writeManifest(ctx); err != nil {
`),
		one("no-fence-read", "the fence is not read after the manifest was written", "blob delete", push,
			`	if now != p.epoch {
`, `	if now != p.epoch && !planted("no-fence-read") {
`),
		one("fence-after-links", "the epoch to compare with is read after the references", "blob delete", push,
			`	if err := p.look(ctx); err != nil {
		return err
	}
`, `	if err := p.look(ctx); err != nil {
		return err
	}
	if planted("fence-after-links") {
		if p.epoch, err = p.l.readFence(ctx, p.repo); err != nil {
			return err
		}
	}
`),
		one("no-second-look-at-references", "references are not looked at again when the fence has moved", "blob delete", push,
			`		if err := again.check(ctx, p.manifest); err != nil {
`, `		if err := again.check(ctx, p.manifest); err != nil && !planted("no-second-look-at-references") {
`),
		one("no-last-look", "the manifest is not looked at after the tags were set", "new tag that is read after the delete", push,
			`	return p.lives(ctx)
}

// lives looks`, `	if planted("no-last-look") {
		return nil
	}
	return p.lives(ctx)
}

// lives looks`),
		one("state-instead-of-life", "the looks at the manifest compare its state, not its life", "its tag read, and pushed again", push,
			`		case !m.Present() || m.Head.Generation != p.stored.Head.Generation:
`, `		case !m.Present() || m.Head.Generation != p.stored.Head.Generation && !planted("state-instead-of-life"):
`),
		one("life-is-not-looked-at", "the looks at the manifest compare its state, not its life, and another push has begun the next", "and two pushes of it", push,
			`			return err
		case !m.Present() || m`, `			return err
		case planted("life-is-not-looked-at") && m.Is(live):
			return nil
		case !m.Present() || m`),
		one("no-look-after-the-fence", "the manifest is not looked at when the fence has moved, though the delete may have missed the tags' markers", "before it has ended|after the delete", push,
			`		if err := p.lives(ctx); err != nil {
			return err
		}
	}
	if err := p.refer(ctx)`, `		if err := p.lives(ctx); err != nil && !planted("no-look-after-the-fence") {
			return err
		}
	}
	if err := p.refer(ctx)`),
		one("tag-set-without-a-look", "a tag that has moved is set without a look at the manifest", "after the delete|before it has ended", push,
			`		t.tag = tag
		if err := p.lives(ctx); err != nil {
`, `		t.tag = tag
		if err := p.lives(ctx); err != nil && !planted("tag-set-without-a-look") {
`),
		{"tags-read-with-the-manifest", "a push reads its tags beside its manifest, and only before the fence", "and two pushes of it", []Edit{
			{push, `		if p.restores {
			break // it begins`, `		if p.restores || planted("tags-read-with-the-manifest") {
			break // it begins`},
			{push, `	now, err := p.l.readFence(ctx, p.repo)
`, `	if planted("tags-read-with-the-manifest") {
		for i := range p.tags {
			if p.tags[i].tag, err = read[tagHead](ctx, p.l, format.TagKey(p.repo, p.tags[i].name)); err != nil {
				return err
			}
		}
	}
	now, err := p.l.readFence(ctx, p.repo)
`},
		}},
		one("acknowledged-before-the-tag", "a push is acknowledged before its tags are set", "tag", push,
			`	if err := p.setTags(ctx); err != nil {
		return err
	}
`, `	if planted("acknowledged-before-the-tag") {
		p.l.afterwards(ctx, "tags", p.setTags)
		return nil
	}
	if err := p.setTags(ctx); err != nil {
		return err
	}
`),
		one("condemned-is-good-enough", "a push trusts a condemned link without bringing it back", "blob delete", references,
			`		case link.Is(live):
			return nil
		}
`, `		case link.Is(live), planted("condemned-is-good-enough"):
			return nil
		}
`),
		one("children-are-trusted", "an index trusts its manifests, whatever the fence", "deep: index", references,
			`	if !r.again && !rescued {
`, `	if planted("children-are-trusted") {
		return nil
	}
	if !r.again && !rescued {
`),
		one("deleted-begins-again", "a push whose manifest was deleted after it was seen brings it back", "before it has ended", push,
			`	err := p.steps(ctx)
`, `	err := p.steps(ctx)
	if planted("deleted-begins-again") && errors.Is(err, ErrDeleted) {
		err = p.steps(ctx)
	}
`),
		one("deleted-is-acknowledged", "a push whose manifest was deleted before it had set its tags is acknowledged", "before it has ended|after the delete", push,
			`	if whole && (`, `	if planted("deleted-is-acknowledged") || whole && (`),
		one("deleted-leaves-tags", "a push whose manifest was deleted leaves the tag that the delete did not see", "tag that is read after the delete", push,
			`	if err := p.withdraw(ctx); err != nil {
`, `	if planted("deleted-leaves-tags") {
		return nil
	}
	if err := p.withdraw(ctx); err != nil {
`),
		one("referrer-entered-without-a-look", "a referrer is entered into a list that has changed without a look at its manifest", "referr", refer,
			`		if looked { // and`, `		if looked && !planted("referrer-entered-without-a-look") { // and`),
		one("referrers-not-touched", "a delete does not write its subject's referrers when it is not among them", "referrer pushed again", refer,
			`		head := referrersHead{List: list}
		if`, `		head := referrersHead{List: list}
		if planted("referrers-not-touched") && slices.EqualFunc(list, old.Head.List, func(a, b referrer) bool {
			return a.Generation == b.Generation && a.Descriptor.Digest == b.Descriptor.Digest
		}) {
			return nil
		}
		if`),
		one("referrer-of-any-life", "a delete drops the referrer's entry without comparing its generation", "referrer", refer,
			`		if over {
`, `		if over || planted("referrer-of-any-life") {
`),
		one("referrer-of-one-life", "a delete drops the referrer's entry of the life that it has ended, and leaves that of an earlier one", "a push that is cut", refer,
			`		over, err := l.isOver(`, `		if list[i].Generation != ended && planted("referrer-of-one-life") {
			return list, nil
		}
		over, err := l.isOver(`),
		one("tag-withdrawn-by-version", "a push leaves a tag that another delete has passed since, although its life is over", "passed by another", push,
			`err == nil || !isConflict(err) {
			return err
		}
	}
	return errContended("delete a tag")`, `err == nil || !isConflict(err) || planted("tag-withdrawn-by-version") {
			if isConflict(err) {
				return nil
			}
			return err
		}
	}
	return errContended("delete a tag")`),
	}
}

// deleteBugs break deletes.
func deleteBugs() []Bug {
	return []Bug{
		one("tags-outlive-their-manifest", "a manifest's delete does not look for the tags that hold it", "delete", deletes,
			`	prefix := format.MarkerPrefix(repo, d)
`, `	if planted("tags-outlive-their-manifest") {
		return nil
	}
	prefix := format.MarkerPrefix(repo, d)
`),
		one("tags-passed-before-the-kill", "a manifest's delete passes its tags before the manifest is dead, and once more after it", "read, and pushed again", deletes,
			`	for range rounds(ctx) {
		head := manifestHead{`, `	if planted("tags-passed-before-the-kill") {
		if err := l.passTags(ctx, repo, d, m.Head.Generation); err != nil {
			return err
		}
	}
	for range rounds(ctx) {
		head := manifestHead{`),
		one("delete-ends-with-its-client", "a manifest's delete ends where it is when its client leaves", "client leaves", deletes,
			`	ctx, cancel := l.bounded(context.WithoutCancel(ctx))
`, `	leaving := ctx
	ctx, cancel := l.bounded(context.WithoutCancel(ctx))
	if planted("delete-ends-with-its-client") {
		ctx, cancel = l.bounded(leaving)
	}
`),
		one("large-tag-deleted-unseen", "the delete of a tag that readers do not see any more is acknowledged", "large", deletes,
			`			seen = !over
`, `			seen = !over || planted("large-tag-deleted-unseen")
`),
		one("redelete-of-the-young", "a repeated delete of a manifest finishes only one that was cut within the hour", "cut", deletes,
			`	if m.Is(dead) {
`, `	if m.Is(dead) && (!planted("redelete-of-the-young") || l.records.Now().Sub(m.Modified) < l.ages.Request) {
`),
		one("large-tag-of-any-life", "a tag of a large manifest shows a later life of it than it was set under", "large", resolve,
			`life != "" && m.Head.Generation != life`, `life != "" && m.Head.Generation != life && !planted("large-tag-of-any-life")`),
		one("tag-not-touched", "a manifest's delete leaves a tag of it as it is that names another now", "after the delete|before it has ended", deletes,
			`			tag, err = swap(ctx, l, key, tag, tag.State)
`, `			if planted("tag-not-touched") && tag.Is(live) {
				return nil
			}
			tag, err = swap(ctx, l, key, tag, tag.State)
`),
		one("tombstone-not-touched", "a manifest's delete leaves a tag of it as it is that is a tombstone", "was deleted, and is read", deletes,
			`		case passed:
`, `		case tag.Is(dead) && planted("tombstone-not-touched"):
			return nil
		case passed:
`),
		one("absent-tag-not-touched", "a manifest's delete leaves a tag of it as it is that is not there yet", "new tag that is read after", deletes,
			`		default:
			tag, err = l.buryTag(ctx, repo, name, tag)
`, `		case planted("absent-tag-not-touched"):
			return nil
		default:
			tag, err = l.buryTag(ctx, repo, name, tag)
`),
		one("tag-of-any-life", "a manifest's delete buries a tag that was set since, in the manifest's next life", "deleted again", deletes,
			`	if life == ended {
`, `	if life == ended || planted("tag-of-any-life") {
`),
		one("tag-looked-at-once", "a large manifest that is gone is a 404, though the tag has moved on", "large", resolve,
			`		if tag.Version == before {
`, `		if tag.Version == before || planted("tag-looked-at-once") {
			tag.State = absent
`),
		one("delete-without-fence", "a blob's delete does not raise the fence", "blob delete", deletes,
			`		if err := l.raiseFence(ctx, repo); err != nil {
			return err
		}
`, `		if planted("delete-without-fence") {
		} else if err := l.raiseFence(ctx, repo); err != nil {
			return err
		}
`),
		one("delete-without-second-look", "a blob's delete does not look for manifests after the fence", "blob delete", deletes,
			`		if err := l.checkUnused(ctx, repo, d); err != nil {
			if link.Is(condemned) {`, `		if err := l.checkUnused(ctx, repo, d); err != nil && !planted("delete-without-second-look") {
			if link.Is(condemned) {`),
		one("delete-in-one-step", "a blob is killed without being condemned", "blob delete", deletes,
			`			if link, err = swap(ctx, l, key, link, condemned); isConflict(err) {
`, `			if planted("delete-in-one-step") {
			} else if link, err = swap(ctx, l, key, link, condemned); isConflict(err) {
`),
	}
}

// blobBugs break commits and reads.
func blobBugs() []Bug {
	return []Bug{
		one("acknowledged-before-the-link", "a push is acknowledged before its link is live", "push.*blob|PUT", commit,
			`		if c.link, err = writeOrFind(ctx, c.l, key, c.link, head, nil, false); err == nil {
			c.l.changed(c.repo, c.digest)
			if len(rec.Head.Segments) > format.ManySegments {
				c.l.changed("", c.digest)
			}
			return nil
		}
		if !isConflict(err) {
			return err
		}
		if c.link.Is(live) {
`, `		if planted("acknowledged-before-the-link") {
			c.l.afterwards(ctx, "link", func(ctx context.Context) error {
				_, err := write(ctx, c.l, key, c.link, head, nil, false)
				return err
			})
			return nil
		}
		if c.link, err = writeOrFind(ctx, c.l, key, c.link, head, nil, false); err == nil {
			c.l.changed(c.repo, c.digest)
			if len(rec.Head.Segments) > format.ManySegments {
				c.l.changed("", c.digest)
			}
			return nil
		}
		if !isConflict(err) {
			return err
		}
		if c.link.Is(live) {
`),
		one("link-without-pending", "a commit looks at the record before its link is pending", "collect", commit,
			`		head := linkHead{}
		head.State = pending
		link, err := writeOrFind(ctx, c.l, key, old, head, nil, false)
`, `		if planted("link-without-pending") {
			var err error
			c.link, err = read[linkHead](ctx, c.l, key)
			return err
		}
		head := linkHead{}
		head.State = pending
		link, err := writeOrFind(ctx, c.l, key, old, head, nil, false)
`),
		one("installed-unseen", "segments are installed again without a look whether they exist", "repeated PUT", commit,
			`	for _, s := range c.segments {
		if _, err := c.l.data.Stat`, `	for _, s := range c.segments {
		if planted("installed-unseen") {
			break
		}
		if _, err := c.l.data.Stat`),
		one("doomed-is-rescued", "a doomed record is brought back like a condemned one", "collect", commit,
			`		case rec.Is(condemned):
			if rec, err = swap(ctx, c.l, key, rec, live); err == nil {
`, `		case rec.Is(condemned), rec.Is(doomed) && planted("doomed-is-rescued"):
			if rec, err = swap(ctx, c.l, key, rec, live); err == nil {
`),
		one("doomed-is-left-early", "a doomed record is left before its segments are deleted", "collect", commit,
			`	for _, s := range joined(rec.Head.Segments, rec.Head.Old) {
		if err := l.data.Delete`, `	for _, s := range rec.Head.Segments {
		if planted("doomed-is-left-early") {
			break
		}
		if err := l.data.Delete`),
		one("mounted-from-the-link", "a mount copies the source's link without looking at the record", "mount", mount,
			`		rec, err := read[blobHead](ctx, c.l, format.BlobKey(c.digest))
		if err == nil && rec.Is(condemned) {
`, `		rec, err := read[blobHead](ctx, c.l, format.BlobKey(c.digest))
		if planted("mounted-from-the-link") {
			rec.State = live
		}
		if err == nil && rec.Is(condemned) {
`),
		one("void-counts", "a record that lands after its request has ended counts", "lands after", store,
			`	if base.Fresh && rec.Modified`, `	if base.Fresh && !planted("void-counts") && rec.Modified`),
		one("short-read-is-an-end", "a segment that breaks off ends cleanly", "breaks off", segments,
			`		if errors.Is(err, io.EOF) {
			err = r.current.Close()
`, `		if errors.Is(err, io.ErrUnexpectedEOF) && planted("short-read-is-an-end") {
			r.length = 0
			return n, io.EOF
		}
		if errors.Is(err, io.EOF) {
			err = r.current.Close()
`),
	}
}

// uploadBugs break sessions.
func uploadBugs() []Bug {
	return []Bug{
		one("session-overwritten", "a chunk that lost the race is written over the winner's session", "PATCH", uploads,
			`	if isConflict(err) {
		w.discard(ctx) // a definite loss: no write names them
`, `	if isConflict(err) && planted("session-overwritten") {
		now, err = write(ctx, l, format.UploadKey(t.id), now, next, nil, false)
	}
	if isConflict(err) {
		w.discard(ctx) // a definite loss: no write names them
`),
		one("offset-not-checked", "a chunk is taken wherever it says it belongs", "PATCH", uploads,
			`	if chunk.Start >= 0 && chunk.Start != s.Head.Offset {
`, `	if chunk.Start >= 0 && chunk.Start != s.Head.Offset && !planted("offset-not-checked") {
`),
		one("cancelled-goes-on", "an upload's tombstone is taken for an open session", "cancel", uploads,
			`	case s.Is(open), !s.Exists() && !t.written:
		return nil
`, `	case s.Is(open), !s.Exists() && !t.written, s.Is(aborted) && planted("cancelled-goes-on"):
		return nil
`),
	}
}

// storeBugs break what all operations stand on.
func storeBugs() []Bug {
	return []Bug{
		one("error-is-404", "a store that does not answer is taken for one that has nothing", "manifest push", store,
			`	case errors.Is(err, record.ErrNotFound):
		return Stored[H]{}, nil
`, `	case errors.Is(err, record.ErrNotFound), planted("error-is-404") && errors.Is(err, record.ErrUnavailable):
		return Stored[H]{}, nil
`),
		one("lost-answer-is-a-conflict", "a write whose answer was lost counts as one that lost its race, whatever was there between", "middle of one session", store,
			`base().Over == over {
`, `base().Over == over || planted("lost-answer-is-a-conflict") && readErr == nil {
`),
		one("no-nonce", "values carry no nonce: equal bodies have equal versions", "two blob deletes", store,
			`	base.Nonce = RandomID()
`, `	base.Nonce = RandomID()
	if planted("no-nonce") {
		base.Nonce = "0"
	}
`),
	}
}
