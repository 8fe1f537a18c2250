package judge

import (
	"cmp"
	"net/http"
	"slices"
	"sync"

	"holdfast/test/history/call"
)

// object is a tag, a manifest or a blob of a repository.
type object struct{ kind, repo, ref string }

const (
	tagKind      = "tag"
	manifestKind = "manifest"
	blobKind     = "blob"
)

// name is a repository's something.
type name struct{ repo, ref string }

// book is a history with what is looked up in it again and again.
type book struct {
	calls     []call.Call
	opt       Options
	manifests map[string]call.Manifest // what was ever pushed, by digest
	puts      map[name][]*call.Call    // of a manifest, by digest; only what was sent
	tagPuts   map[name][]*call.Call    // of a tag
	tagsOf    map[name][]string        // tags that a manifest was ever pushed under
	deletes   map[name][]*call.Call    // of a manifest, but for those that were refused for something else than 404
	removals  map[string][]*call.Call  // of anything in a repository, as deletes
	named     map[name][]string        // manifests that name a blob
	facts     map[object][]*fact

	mu        sync.Mutex
	problems  []Problem
	undecided []string
}

// end is when the effect of a call has come at the latest.
func end(c *call.Call) int64 {
	if c.Unknown() {
		return never
	}
	return c.Ret
}

// overlap reports whether two calls may have taken effect in either order.
func overlap(a, b *call.Call) bool { return a.Call <= end(b) && b.Call <= end(a) }

func open(calls []call.Call, opt Options) *book {
	b := &book{
		opt: opt, calls: slices.Clone(calls),
		manifests: make(map[string]call.Manifest), puts: make(map[name][]*call.Call), tagPuts: make(map[name][]*call.Call),
		tagsOf: make(map[name][]string), deletes: make(map[name][]*call.Call), removals: make(map[string][]*call.Call),
		named: make(map[name][]string), facts: make(map[object][]*fact),
	}
	slices.SortStableFunc(b.calls, func(x, y call.Call) int { return cmp.Compare(x.Call, y.Call) })
	for i := range b.calls {
		b.enter(&b.calls[i])
	}
	return b
}

func (b *book) enter(c *call.Call) {
	if !c.Sent() {
		return
	}
	refused := c.Refused() && c.Status != http.StatusNotFound
	switch c.Op {
	case call.ManifestPut:
		at := name{c.Repo, c.Digest}
		if len(b.puts[at]) == 0 && c.Manifest != nil {
			b.manifests[c.Digest] = *c.Manifest
			for _, d := range c.Manifest.Blobs {
				b.named[name{c.Repo, d}] = append(b.named[name{c.Repo, d}], c.Digest)
			}
		}
		b.puts[at] = append(b.puts[at], c)
		for _, t := range c.TagsSet() {
			b.tagPuts[name{c.Repo, t}] = append(b.tagPuts[name{c.Repo, t}], c)
			if !slices.Contains(b.tagsOf[at], t) {
				b.tagsOf[at] = append(b.tagsOf[at], t)
			}
		}
	case call.ManifestDelete:
		if !refused {
			b.deletes[name{c.Repo, c.Ref}] = append(b.deletes[name{c.Repo, c.Ref}], c)
			b.removals[c.Repo] = append(b.removals[c.Repo], c)
		}
	case call.BlobDelete:
		if !refused {
			b.removals[c.Repo] = append(b.removals[c.Repo], c)
		}
	}
}

// overlapping returns those of a list, which is in the order of calls, that overlap c.
func overlapping(list []*call.Call, c *call.Call) (found []*call.Call) {
	for _, other := range list {
		if other.Call > end(c) {
			break
		}
		if other != c && overlap(other, c) {
			found = append(found, other)
		}
	}
	return found
}

// about adds a fact.
func (b *book) about(o object, f fact) { b.facts[o] = append(b.facts[o], &f) }

// say adds what c says of an object, over the whole of the call.
func (b *book) say(o object, do deed, value string, c *call.Call) {
	b.about(o, fact{do, value, c.Call, end(c), c})
}

// collect turns the calls into facts.
func (b *book) collect() {
	for i := range b.calls {
		c := &b.calls[i]
		if !c.Sent() {
			continue
		}
		switch c.Op {
		case call.ManifestPut:
			b.manifestPut(c)
		case call.ManifestGet, call.ManifestHead:
			b.manifestRead(c)
		case call.ManifestDelete:
			b.manifestDelete(c)
		case call.TagDelete:
			b.remove(object{tagKind, c.Repo, c.Ref}, c)
		case call.Commit, call.Push, call.Mount:
			if !c.BadSum && (c.Status == http.StatusCreated || c.Failed()) {
				b.say(object{blobKind, c.Repo, c.Ref}, set, there, c)
			}
		case call.BlobGet, call.BlobHead:
			b.read(object{blobKind, c.Repo, c.Ref}, there, c)
		case call.BlobDelete:
			o := object{blobKind, c.Repo, c.Ref}
			if c.Refused() && c.Code == "DENIED" { // it is in use: so it is there
				b.say(o, is, there, c)
			}
			b.remove(o, c)
		}
	}
}

func (b *book) read(o object, value string, c *call.Call) {
	switch {
	case c.OK():
		b.say(o, is, value, c)
	case c.Refused() && c.Status == http.StatusNotFound:
		b.say(o, missing, "", c)
	}
}

// remove is a delete that has one winner: it is acknowledged to whoever took away what was there.
func (b *book) remove(o object, c *call.Call) {
	switch {
	case c.OK() && b.opt.Relaxed, c.Failed():
		b.say(o, absence, "", c)
	case c.OK():
		b.say(o, cleared, "", c)
	case c.Status == http.StatusNotFound:
		b.say(o, missing, "", c)
	}
}

func (b *book) manifestPut(c *call.Call) {
	m := object{manifestKind, c.Repo, c.Digest}
	if !c.OK() && !c.Failed() {
		b.refusedPut(c)
		return
	}
	b.say(m, set, there, c)
	for _, t := range c.TagsSet() {
		b.say(object{tagKind, c.Repo, t}, set, c.Digest, c)
	}
	b.again(c)
	if !c.OK() {
		return
	}
	for _, d := range b.manifests[c.Digest].Blobs {
		b.say(object{blobKind, c.Repo, d}, is, there, c)
	}
	for _, d := range b.manifests[c.Digest].Children {
		b.say(object{manifestKind, c.Repo, d}, is, there, c)
	}
}

// refusedPut says what a refused push found missing. It set nothing, but see leftBehind.
func (b *book) refusedPut(c *call.Call) {
	for _, d := range c.Missing {
		if kind := b.kindOf(c.Digest, d); kind != "" {
			b.say(object{kind, c.Repo, d}, missing, "", c)
		} else {
			b.problem("A", c.Repo, "a push was refused for something that its manifest does not name", c)
		}
	}
	b.leftBehind(c)
}

// kindOf says as what a manifest names d, itself or by a manifest that it names; "" when it does not.
func (b *book) kindOf(manifest, d string) string {
	m := b.manifests[manifest]
	switch {
	case slices.Contains(m.Blobs, d):
		return blobKind
	case slices.Contains(m.Children, d):
		return manifestKind
	}
	for _, child := range m.Children {
		if kind := b.kindOf(child, d); kind != "" {
			return kind
		}
	}
	return ""
}

func (b *book) manifestRead(c *call.Call) {
	if c.ByDigest() {
		b.read(object{manifestKind, c.Repo, c.Ref}, there, c)
		return
	}
	b.read(object{tagKind, c.Repo, c.Ref}, c.Digest, c)
	if c.OK() && !b.dangling(c) {
		b.say(object{manifestKind, c.Repo, c.Digest}, is, there, c)
	}
}

func (b *book) manifestDelete(c *call.Call) {
	at, m := name{c.Repo, c.Ref}, object{manifestKind, c.Repo, c.Ref}
	if c.Refused() {
		if c.Status == http.StatusNotFound {
			b.say(m, missing, "", c)
			b.finishes(c)
		}
		return
	}
	if c.OK() && !b.opt.Relaxed && len(overlapping(b.deletes[at], c)) == 0 {
		b.say(m, cleared, "", c)
	} else { // of several at once, each may be told that it did it
		b.say(m, absence, "", c)
	}
	for _, t := range b.tagsOf[at] {
		if b.mayHold(t, c) {
			b.say(object{tagKind, c.Repo, t}, clearIf, c.Ref, c)
		}
	}
}

// mayHold reports whether a tag may hold the manifest of a delete at that time.
func (b *book) mayHold(tag string, c *call.Call) bool {
	return slices.ContainsFunc(b.tagPuts[name{c.Repo, tag}], func(p *call.Call) bool {
		return p.Digest == c.Ref && p.Call <= end(c)
	})
}
