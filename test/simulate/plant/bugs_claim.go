package plant

// claimBugs break what keeps the segments of an upload to one blob (ADR 5).
func claimBugs() []Bug {
	const claimed = "PUT|claimed|a session|a finished upload"
	return []Bug{
		one("segments-unclaimed", "a record names the segments of a session that nobody claimed", claimed, commit,
			`	now, err := write(ctx, l, format.UploadKey(t.id), s, head, nil, false)
	switch {
`, `	now, err := s, error(nil)
	if !planted("segments-unclaimed") {
		now, err = write(ctx, l, format.UploadKey(t.id), s, head, nil, false)
	}
	switch {
`),
		one("lost-claim-goes-on", "a commit that lost the claim of its session installs its segments all the same", claimed, commit,
			`	case !isConflict(err):
		return`, `	case isConflict(err) && planted("lost-claim-goes-on"):
		now, err = s, nil
		fallthrough
	case !isConflict(err):
		return`),
		one("record-before-claim", "a record names the segments of a session before it is claimed", claimed, commit,
			`	claimed, ours, err := l.claim(ctx, repo, t, s, d, c.segments, c.size)
	if err != nil {
`, `	if planted("record-before-claim") {
		if err := c.settle(ctx); err != nil {
			return err
		}
	}
	claimed, ours, err := l.claim(ctx, repo, t, s, d, c.segments, c.size)
	if err != nil {
`),
		one("remembered-session-decides", "a commit that lost the claim of a session that it remembers installs its segments all the same", claimed, session,
			`		if !ours {
			return errOvertaken`, `		if !ours && planted("remembered-session-decides") {
			return nil
		}
		if !ours {
			return errOvertaken`),
		one("claim-without-last-bytes", "a claim does not name the segment that came with the PUT", claimed, commit,
			`	head.State, head.Digest, head.Hash,`, `	if planted("claim-without-last-bytes") {
		segments = s.Head.Segments
	}
	head.State, head.Digest, head.Hash,`),
		{"resume-of-any-digest", "a session that is done is resumed, whatever digest it was claimed for", claimed, []Edit{
			{commit, `	if s.Is(done) && s.Head.Digest == d {
		return l.resume`, `	if s.Is(done) && (s.Head.Digest == d || planted("resume-of-any-digest")) {
		return l.resume`},
			{commit, `	if !now.Is(done) || now.Head.Digest != c.digest {
`, `	if !now.Is(done) || now.Head.Digest != c.digest && !planted("resume-of-any-digest") {
`},
		}},
		one("resume-not-renewed", "a session is resumed without being renewed, so that its age lets the collector take it", "claimed session is collected", commit,
			`	now, err := swap(ctx, l, format.UploadKey(t.id), s, done)
`, `	now, err := s, error(nil)
	if !planted("resume-not-renewed") {
		now, err = swap(ctx, l, format.UploadKey(t.id), s, done)
	}
`),
		one("claimed-is-cancelled", "a cancel that loses against a claim aborts the session all the same", "cancel", uploads,
			`			t.written = true
			err = checkOpen(t, s)
		}
`, `			t.written = true
			if err = checkOpen(t, s); planted("claimed-is-cancelled") && s.Is(done) {
				err = nil
			}
		}
`),
		one("lost-claim-not-renewed", "a commit that lost the claim of its session goes on with it as it is", "slow body", commit,
			`	if !ours {
		return l.resume(ctx, c, t, claimed)
	}
	return c.settle(ctx)
}

func joined`, `	if !ours && planted("lost-claim-not-renewed") {
		c.segments = claimed.Head.Segments
		return c.settle(ctx)
	}
	if !ours {
		return l.resume(ctx, c, t, claimed)
	}
	return c.settle(ctx)
}

func joined`),
		one("whole-not-claimed", "an upload that came in one request is committed without a claim", "whole body", commit,
			`	if t.id == "" { // nobody`, `	if t.id == "" || planted("whole-not-claimed") && !s.Exists() { // nobody`),
		one("found-link-not-looked-at", "a session whose blob is there is resumed without being renewed when that goes meanwhile", "collected with its blob", commit,
			`	if c.link.Present() {
		link, err`, `	if c.link.Present() && planted("found-link-not-looked-at") {
		return c.settle(ctx)
	}
	if c.link.Present() {
		link, err`),
	}
}

// damageBugs break how damaged bytes are kept from coming back.
func damageBugs() []Bug {
	return []Bug{
		one("damaged-bytes-again", "a repeated commit brings its damaged segments back", "damaged", commit,
			`	if rec.Is(corrupt) && len(c.segments) > 0 &&`, `	if !planted("damaged-bytes-again") && rec.Is(corrupt) && len(c.segments) > 0 &&`),
		one("damaged-link-moved-once", "a link that moves while it is marked damaged is left as it is", "damaged", corrupt,
			`		if link, err = swap(ctx, l, key, link, to); err == nil {
`, `		if link, err = swap(ctx, l, key, link, to); err == nil || planted("damaged-link-moved-once") && isConflict(err) {
`),
		one("pending-link-slips-past", "a link that is about to go live is not told that its bytes are damaged", "damaged", corrupt,
			`		case link.Is(pending):
			to = pending
`, `		case link.Is(pending) && planted("pending-link-slips-past"):
			return nil
		case link.Is(pending):
			to = pending
`),
	}
}
