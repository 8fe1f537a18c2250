package judge

import (
	"net/http"

	"holdfast/test/history/call"
)

// The places where the contract promises less than "each call takes effect at one moment or, refused, not at all".
// All need a delete that runs at the same time as a push of the same manifest, or of what it names; without one the
// models are strict.

// mostAgain bounds how often a push that is overtaken by deletes is thought to begin again: as often as it does.
const mostAgain = 4

// again: a push whose manifest is deleted while it is under way begins again, so that its manifest and its tag may come
// twice, with the delete between; or it takes its tag back and says that it came before the delete (PROTOCOL, "Push
// manifest", 6). The delete in its turn looks for tags twice, before and after it kills the manifest (ADR 4).
func (b *book) again(c *call.Call) {
	deletes := overlapping(b.deletes[name{c.Repo, c.Digest}], c)
	for _, d := range deletes[:min(len(deletes), mostAgain)] {
		b.say(object{manifestKind, c.Repo, c.Digest}, maySet, there, c)
		for _, t := range c.TagsSet() {
			o := object{tagKind, c.Repo, t}
			b.say(o, maySet, c.Digest, c)
			b.say(o, mayClear, c.Digest, c)
			b.say(o, mayClear, c.Digest, d)
		}
	}
}

// leftBehind: a push that is refused at its second look at what it names, because something was deleted since the first,
// leaves its manifest: without a tag, acknowledged to nobody, and the collector's. When it was overtaken before by a delete of
// its manifest, its tag was there for a while as well, until that delete took it.
func (b *book) leftBehind(c *call.Call) {
	if len(overlapping(b.removals[c.Repo], c)) == 0 {
		return
	}
	b.say(object{manifestKind, c.Repo, c.Digest}, maySet, there, c)
	b.again(c)
}

// finishes: a delete that is told "not there" does the last steps of one that may have died before them, and so takes tags that
// name a manifest which is gone.
func (b *book) finishes(c *call.Call) {
	for _, t := range b.tagsOf[name{c.Repo, c.Ref}] {
		if b.mayHold(t, c) {
			b.say(object{tagKind, c.Repo, t}, mayClear, c.Ref, c)
		}
	}
}

// dangling reports whether a read of a tag may have shown a manifest that is not there: between a delete's kill and its
// second look at the tags; while a push that the delete overtook has set its tag and not yet looked whether its manifest is
// still there; and for longer when one of the two died in that time (ADR 4). Promises are per key; this one is about two.
func (b *book) dangling(c *call.Call) bool {
	at := name{c.Repo, c.Digest}
	for _, d := range b.deletes[at] {
		if d.Call > c.Ret {
			break
		}
		if overlap(d, c) {
			return true
		}
		for _, p := range overlapping(b.puts[at], d) {
			if overlap(p, c) {
				return true
			}
		}
	}
	return false
}

// mayLeave reports whether a push may have an effect: all but those that were refused at their first look.
func (b *book) mayLeave(c *call.Call) bool {
	return !c.Refused() || c.Status == http.StatusNotFound && len(overlapping(b.removals[c.Repo], c)) > 0
}

// flickers reports whether a push may take back what it did.
func (b *book) flickers(c *call.Call) bool {
	return len(overlapping(b.deletes[name{c.Repo, c.Digest}], c)) > 0
}
