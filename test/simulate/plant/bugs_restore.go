package plant

// Files of what brings a tag back.
const (
	tags = "internal/format/tag.go"
	view = "internal/collect/view.go"
)

// restoreBugs break what keeps an old manifest for a tag, and what a restore may do.
func restoreBugs() []Bug {
	return []Bug{
		one("restore-writes-manifest", "a restore writes a manifest that was deleted since it was read", "restored: .*deleted", push,
			`		if p.restores && !old.Present() {
`, `		if p.restores && !old.Present() && !planted("restore-writes-manifest") {
`),
		one("tombstone-forgets", "a tag that is deleted forgets what it named before it moved", "restored: what the history", tags,
			`	before := others(was.Digest, old.Head.Previous)
`, `	before := others(was.Digest, old.Head.Previous)
	if planted("tombstone-forgets") {
		before = nil
	}
`),
		one("view-forgets", "the collector does not go by what a deleted tag named before it moved", "restored: what the history", view,
			`		known.kept = append(known.kept, keptDigest{p.Digest, until})
`, `		if planted("view-forgets") && known.dead {
			break
		}
		known.kept = append(known.kept, keptDigest{p.Digest, until})
`),
	}
}
