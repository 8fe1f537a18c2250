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
	}
}
