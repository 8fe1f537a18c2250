package plant

const deleteIf = "internal/registry/deleteif.go"

// conditionBugs break pushes and deletes under a condition.
func conditionBugs() []Bug {
	return []Bug{
		one("condition-asked-once", "a push asks its condition of the tag as it was first read, and not of what it replaces", "condition: two images", push,
			`		if err := p.allowed(t); err != nil { // asked of the version that the swap goes on from
`, `		if err := p.allowed(t); err != nil && !planted("condition-asked-once") {
`),
		one("condition-without-condemning", "a delete under a condition looks at the tags of a manifest that is live", "condition: a kill, while", deleteIf,
			`		if m.Is(live) {
`, `		if m.Is(live) && !planted("condition-without-condemning") {
`),
		one("condition-tags-not-passed", "a delete under a condition does not pass the tags before it looks at them", "condition: .*whatever that names", deleteIf,
			`		if err := l.passTags(ctx, repo, d, ""); err != nil {
`, `		if planted("condition-tags-not-passed") {
			_ = ctx
		} else if err := l.passTags(ctx, repo, d, ""); err != nil {
`),
		one("condition-looked-at-once", "a delete under a condition looks at the tags only before the manifest is condemned", "condition: a kill, while the image", deleteIf,
			`		if err := l.askTags(ctx, repo, d, allow); err != nil {
			return l.restoreManifest`, `		if err := l.askTags(ctx, repo, d, allow); err != nil && !planted("condition-looked-at-once") {
			return l.restoreManifest`),
		one("condition-fence-not-raised", "a delete under a condition does not raise the fence before it looks", "condition: .*whatever that names", deleteIf,
			`		if err := l.raiseFence(ctx, repo); err != nil {
`, `		if planted("condition-fence-not-raised") {
			_ = ctx
		} else if err := l.raiseFence(ctx, repo); err != nil {
`),
	}
}
