package plant

// Files of what is remembered.
const (
	envelope   = "internal/record/cached/envelope.go"
	remembered = "internal/record/cached/store.go"
)

// rememberBugs break the rules of what a replica may remember of links.
func rememberBugs() []Bug {
	return []Bug{
		one("fence-is-not-compared", "a link that is remembered is good, wherever the fence is", "^remembering", remembered,
			`	if err == nil && now.fence == l.under {
`, `	if err == nil && (now.fence == l.under || planted("fence-is-not-compared")) {
`),
		one("remembered-under-a-later-fence", "the fence under which a link is remembered is read after the link", "^remembering.*deleted, pushed again", remembered,
			`	rec, err := s.next.Get(ctx, key)
	if err == nil {
		s.learnLink(key, before, known, rec)
`, `	rec, err := s.next.Get(ctx, key)
	if err == nil {
		if repo, _ := linkRepository(key); planted("remembered-under-a-later-fence") {
			if _, err := s.readFence(ctx, format.FenceKey(repo), repo); err == nil || errors.Is(err, record.ErrNotFound) {
				f, _ := s.memory.fences.GetIfPresent(repo)
				before, known = f.fence, true
			}
		}
		s.learnLink(key, before, known, rec)
`),
		one("condemned-is-remembered", "a condemned link is remembered as well", "^remembering.*read while it is deleted", remembered,
			`	return err == nil && link.Is(format.Live)
`, `	return err == nil && (link.Is(format.Live) || planted("condemned-is-remembered") && link.Is(format.Condemned))
`),
		one("absence-is-remembered", "that a link is dead is remembered as well", "^remembering", remembered,
			`	case !s.live(key, rec):
`, `	case !s.live(key, rec) && !planted("absence-is-remembered"):
`),
		one("mac-without-the-key", "the seal of a value does not say of which key it is", "^remembering what is mixed", envelope,
			`	for _, f := range fields {
		field(f)
`, `	for i, f := range fields {
		if planted("mac-without-the-key") && domain == "cached value" && i == 1 {
			continue
		}
		field(f)
`),
		one("corrupt-without-a-raise", "links are marked corrupt, and the fence is not raised", "^remembering.*damaged", corrupt,
			`	return l.raiseFence(ctx, format.UnescapeRepository(`, `	if planted("corrupt-without-a-raise") {
		return nil
	}
	return l.raiseFence(ctx, format.UnescapeRepository(`),
	}
}
