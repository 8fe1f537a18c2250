package plant

// Files of the collector.
const (
	repository = "internal/collect/repository.go"
	links      = "internal/collect/links.go"
	digests    = "internal/collect/digest.go"
	leftovers  = "internal/collect/leftovers.go"
	sessions   = "internal/collect/sessions.go"
	orphans    = "internal/collect/orphans.go"
	merges     = "internal/collect/merge.go"
)

// collectBugs break the collector, and what writers do for it.
func collectBugs() []Bug {
	return append(collectRepositoryBugs(), collectDigestBugs()...)
}

// collectRepositoryBugs break a pass over a repository.
func collectRepositoryBugs() []Bug {
	return []Bug{
		one("links-not-looked-at-again", "a condemned link is killed without a second look at the manifests", "a layer without a manifest", links,
			`	again.uses(unused)
`, `	if !planted("links-not-looked-at-again") {
		again.uses(unused)
	}
`),
		one("links-without-fence", "the fence is not raised between condemning links and the second look", "a layer without a manifest", links,
			`	if _, err := format.RaiseFence(ctx, c.store, repo); err != nil {
`, `	if planted("links-without-fence") || planted("fence-before-condemning") {
	} else if _, err := format.RaiseFence(ctx, c.store, repo); err != nil {
`),
		one("fence-before-condemning", "the fence is raised before links are condemned, not after", "a layer without a manifest", links,
			`	links, gone := make([]format.Stored[format.Link], len(digests)), make([]bool, len(digests))
`, `	links, gone := make([]format.Stored[format.Link], len(digests)), make([]bool, len(digests))
	if planted("fence-before-condemning") && len(digests) > 0 {
		if _, err := format.RaiseFence(ctx, c.store, v.repo); err != nil {
			return nil, err
		}
	}
`),
		one("killed-in-any-version", "a condemned link is killed whatever has become of it meanwhile", "collected|collector", links,
			`	if err != nil && !format.IsConflict(err) {
		return false, fmt.Errorf("collect: decide`, `	if unused && format.IsConflict(err) && planted("killed-in-any-version") {
		if link, err = format.Read[format.Link](ctx, c.store, key); err == nil {
			head := format.Link{}
			head.State = format.Dead
			_, err = format.Write(ctx, c.store, key, link, head, nil, false)
		}
	}
	if err != nil && !format.IsConflict(err) {
		return false, fmt.Errorf("collect: decide`),
		one("manifests-not-looked-at-again", "a condemned manifest is killed without a second look at tags and manifests", "index names", repository,
			`	if live, err = c.reachable(ctx, again, at); err != nil {
`, `	if planted("manifests-not-looked-at-again") {
	} else if live, err = c.reachable(ctx, again, at); err != nil {
`),
		one("manifests-without-fence", "the fence is not raised between condemning manifests and the second look", "index names", repository,
			`	if _, err := format.RaiseFence(ctx, c.store, v.repo); err != nil {
`, `	if planted("manifests-without-fence") {
	} else if _, err := format.RaiseFence(ctx, c.store, v.repo); err != nil {
`),
		one("age-by-the-replicas-clock", "ages are judged by a replica's own clock, which is a day ahead", "collected", repository,
			`	within := func(t time.Time, age time.Duration) bool { return at.now`, `	if planted("age-by-the-replicas-clock") {
		at.now = at.now.Add(24 * time.Hour)
	}
	within := func(t time.Time, age time.Duration) bool { return at.now`),
		one("all-ages-by-the-replicas-clock", "nothing bounds the time of a pass by what the store says", "a month ahead", "internal/collect/clock.go",
			`	if c.clock.stamp.IsZero() {
`, `	if c.clock.stamp.IsZero() || planted("all-ages-by-the-replicas-clock") {
`),
		one("children-not-reached", "the manifests of an index are taken for useless", "refers to it live", repository,
			`		for _, child := range m.parsed.Children {
			next = append`, `		for _, child := range m.parsed.Children {
			if planted("children-not-reached") {
				break
			}
			next = append`),
		one("referrers-not-reached", "what refers to a living subject is taken for useless", "refers to it live", repository,
			`		next = append(next, referrers[d]...)
`, `		if !planted("referrers-not-reached") {
			next = append(next, referrers[d]...)
		}
`),
		one("referrer-by-the-list", "an entry of the referrers goes because its manifest was not listed before", "a second referrer", repository,
			`				if !m.Present() {
					continue // it`, `				if !m.Present() || planted("referrer-by-the-list") {
					continue // it`),
		one("markers-not-looked-at-again", "markers go without a second look at their manifest", "markers of a manifest", leftovers,
			`		if m.Version != before {
`, `		if m.Version != before && !planted("markers-not-looked-at-again") {
`),
		one("repository-not-looked-at-again", "a repository leaves the catalog without a second look", "an empty repository", leftovers,
			`	if again.inUse() {
`, `	if again.inUse() && !planted("repository-not-looked-at-again") {
`),
		one("not-marked-again", "a push whose fence has moved trusts the markers that it saw before", "collected: (markers|an empty|tombstones)", push,
			`		if err := p.markAgain(ctx); err != nil {
`, `		if planted("not-marked-again") {
		} else if err := p.markAgain(ctx); err != nil {
`),
		one("head-does-not-rescue", "HEAD says that a condemned blob is there, and leaves it condemned", "HEAD", blobs,
			`		if !link.Present() || link.Is(live) && `, `		if planted("head-does-not-rescue") && link.Is(condemned) {
			return link, nil
		}
		if !link.Present() || link.Is(live) && `),
	}
}

// collectDigestBugs break the collection of bytes.
func collectDigestBugs() []Bug {
	return []Bug{
		one("record-not-looked-at-again", "a condemned record is doomed without a second look at its links", "collect", digests,
			`		if held, err = c.held(ctx, d); err != nil {
			return err
		}
		if held {
			c.count`, `		if held, err = c.held(ctx, d); err != nil {
			return err
		}
		if held && !planted("record-not-looked-at-again") {
			c.count`),
		one("deleted-while-condemned", "segments are deleted under a condemned record, which can still be rescued", "collect", digests,
			`		if rec, err = format.Swap(ctx, c.store, key, rec, format.Doomed); err != nil {
`, `		if planted("deleted-while-condemned") {
		} else if rec, err = format.Swap(ctx, c.store, key, rec, format.Doomed); err != nil {
`),
		one("dead-before-deletion", "a record is dead before its segments are deleted", "collect", digests,
			`	for _, segments := range [][]format.Segment{rec.Head.Segments, rec.Head.Old} {
		for _, s := range segments {
			if err := c`, `	if planted("dead-before-deletion") {
		head := format.Blob{}
		head.State = format.Dead
		if _, err = format.Write(ctx, c.store, key, rec, head, nil, false); err != nil {
			return ignoreConflict(err)
		}
	}
	for _, segments := range [][]format.Segment{rec.Head.Segments, rec.Head.Old} {
		for _, s := range segments {
			if err := c`),
		one("pending-holds-nothing", "a link that is pending does not hold its record", "collect", digests,
			`		if err != nil || link.Is(format.Pending, `, `		if link.Is(format.Pending) && planted("pending-holds-nothing") {
			continue
		}
		if err != nil || link.Is(format.Pending, `),
		one("removed-in-any-version", "a tombstone is removed whatever it has become", "tombstones go", digests,
			`		err = c.store.Records.Delete(ctx, entry.Key, record.IfVersion(entry.Version))
`, `		cond := record.IfVersion(entry.Version)
		if planted("removed-in-any-version") {
			cond = always
		}
		err = c.store.Records.Delete(ctx, entry.Key, cond)
`),
		one("session-not-aborted", "the segments of a session are deleted before it is aborted", "claimed session is collected", sessions,
			`		if s, err = format.Swap(ctx, c.store, entry.Key, s, format.Aborted); err != nil {
`, `		if planted("session-not-aborted") {
		} else if s, err = format.Swap(ctx, c.store, entry.Key, s, format.Aborted); err != nil {
`),
		one("record-not-asked", "the segments of a finished upload go, whatever its record names", "collect", sessions,
			`	if session.Digest == "" {
`, `	if session.Digest == "" || planted("record-not-asked") {
`),
		one("sessions-name-nothing", "segments that only a session names are taken for orphans", "collected", orphans,
			`		return add(s.Head.Segments)
`, `		if planted("sessions-name-nothing") {
			return nil
		}
		return add(s.Head.Segments)
`),
		one("merged-over-any-link", "a merge writes its segments into links that name others", "merge", merges,
			`		if !link.Is(format.Live) || !slices.Equal(link.Head.Segments, now.Head.Old) {
`, `		if !link.Is(format.Live) || !slices.Equal(link.Head.Segments, now.Head.Old) && !planted("merged-over-any-link") {
`),
		one("merged-at-once", "the segments that a merge replaced are freed at once", "merged while the blob is deleted", merges,
			`c.age(rec.Modified) >= c.store.Ages.Tombstone:
`, `(c.age(rec.Modified) >= c.store.Ages.Tombstone || planted("merged-at-once")):
`),
	}
}
