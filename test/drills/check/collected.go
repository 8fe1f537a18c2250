package check

import (
	"net/http"
	"slices"
	"time"

	"holdfast/test/drills/load"
)

// Collected judges a history under a collector, with the grace that the replicas have: gcDelay, divided as all their ages. What nobody needs
// may vanish: a manifest that no tag leads to, the grace after it was pushed; a blob that no manifest needs, half a grace after it was last
// asked for, or pushed. All else stays, as for History, and a push that looked at its blobs within that time is not refused.
func Collected(calls []load.Call, grace time.Duration) *Verdict {
	c := &collected{
		grace: int64(grace - resolution), mention: int64(grace/2 - resolution), renewed: int64(grace - grace/6 - resolution),
		named: make(map[string]named), deletes: make(map[load.Key][]span), pushers: make(map[load.Key]map[int]bool),
	}
	for _, call := range calls {
		c.see(call)
	}
	return judge(calls, c)
}

// resolution is how exact ages are by the store's clock: its times are whole seconds, and two replicas differ by one.
const resolution = 2 * time.Second

// collected is what the whole history says. It does not change while clients are judged.
type collected struct {
	grace   int64 // nanoseconds that a manifest stays which a tag named
	mention int64 // that a blob stays which was asked for
	renewed int64 // that a manifest stays which was pushed: a push renews one only when it is older than a sixth of the grace

	named   map[string]named // by the manifest's digest
	deletes map[load.Key][]span
	pushers map[load.Key]map[int]bool // clients that pushed a blob
}

// named is what a manifest names.
type named struct {
	refs    []string
	subject string
}

type span struct{ from, to int64 }

func (c *collected) see(call load.Call) {
	k, ok := load.KeyOf(call)
	if !ok {
		return
	}
	switch call.Op {
	case load.ManifestPut:
		c.named[call.Digest] = named{call.Refs, call.Subject}
	case load.BlobCommit, load.BlobMount:
		if c.pushers[k] == nil {
			c.pushers[k] = make(map[int]bool)
		}
		c.pushers[k][call.Client] = true
	case load.BlobDelete:
		if call.Failed() { // it may be done yet
			c.deletes[k] = append(c.deletes[k], span{call.Call, call.Ret + c.grace})
		} else if call.OK() {
			c.deletes[k] = append(c.deletes[k], span{call.Call, call.Ret})
		}
	}
}

// life says what of a client's must be there although a collector is at work.
type life struct {
	*collected
	model *model

	asked   map[load.Key]int64 // when a blob was last known to be there, by the call's begin
	until   map[load.Key]int64 // how long a manifest stays without a tag
	unclear map[load.Key]int64 // when the last write of a tag ended whose outcome is not known
	users   map[load.Key][]load.Key
}

func newLife(m *model, c *collected) *life {
	return &life{
		collected: c, model: m, asked: make(map[load.Key]int64), until: make(map[load.Key]int64), unclear: make(map[load.Key]int64),
		users: make(map[load.Key][]load.Key),
	}
}

// note takes note of a call, once it was judged.
func (l *life) note(c load.Call) {
	k, ok := load.KeyOf(c)
	switch {
	case !ok:
	case c.Op == load.ManifestDelete:
		if c.OK() || c.Failed() {
			delete(l.until, k)
		}
	case c.Failed() && c.Write():
		l.unclear[k] = c.Ret
	case !c.OK():
	case c.Op == load.ManifestPut:
		l.needed(c.Repo, c.Digest, c.Call+l.renewed)
	case c.Op == load.ManifestGet && k.Kind == load.Tag && load.Whose(k.Ref) == 0:
		l.needed(c.Repo, c.Digest, c.Call+l.grace)
	case c.Op == load.BlobHead, c.Op == load.BlobCommit, c.Op == load.BlobMount && c.Status == http.StatusCreated: // a GET promises nothing
		l.asked[k] = max(l.asked[k], c.Call)
	}
}

// revive forgets, before a call is judged, what refers to a manifest that comes back by it: a push looks at all that its manifest names, and not at
// what names that as its subject, which may have gone meanwhile.
func (l *life) revive(put load.Call) {
	if put.Op != load.ManifestPut || !put.OK() && !put.Failed() {
		return
	}
	m := load.Key{Kind: load.Manifest, Repo: put.Repo, Ref: put.Digest}
	if !l.keepsManifest(m, put.Ret) {
		l.forgetReferrers(m, put.Ret)
	}
}

func (l *life) forgetReferrers(m load.Key, at int64) {
	for k, until := range l.until {
		if k.Repo == m.Repo && l.named[k.Ref].subject == m.Ref && until <= at {
			delete(l.until, k)
			l.forgetReferrers(k, at)
		}
	}
	for _, ref := range l.named[m.Ref].refs { // an index names manifests, too
		if child := (load.Key{Kind: load.Manifest, Repo: m.Repo, Ref: ref}); l.until[child] > 0 {
			l.forgetReferrers(child, at)
		}
	}
}

// needed notes that a manifest, which is there, stays until a time at least.
func (l *life) needed(repo, digest string, until int64) {
	m := load.Key{Kind: load.Manifest, Repo: repo, Ref: digest}
	if _, known := l.until[m]; !known {
		for _, ref := range l.named[digest].refs {
			for _, kind := range []string{load.Blob, load.Manifest} {
				k := load.Key{Kind: kind, Repo: repo, Ref: ref}
				if !slices.Contains(l.users[k], m) {
					l.users[k] = append(l.users[k], m)
				}
			}
		}
	}
	l.until[m] = max(l.until[m], until)
}

// over reports whether what a call names may have been collected before its answer.
func (l *life) over(c load.Call) bool {
	k, ok := load.KeyOf(c)
	switch {
	case !ok:
		return false
	case k.Kind == load.Manifest:
		return !l.keepsManifest(k, c.Ret)
	case k.Kind == load.Blob:
		return !l.keepsBlob(k, c.Ret)
	}
	return false
}

// late reports whether a push may have been refused.
func (l *life) late(put load.Call) bool {
	for _, ref := range put.Refs {
		blob := load.Key{Kind: load.Blob, Repo: put.Repo, Ref: ref}
		child := load.Key{Kind: load.Manifest, Repo: put.Repo, Ref: ref}
		if !l.keepsBlob(blob, put.Ret) && !l.keepsManifest(child, put.Ret) {
			return true
		}
	}
	return false
}

// keepsBlob reports whether a blob that was there is there at a time.
func (l *life) keepsBlob(k load.Key, at int64) bool {
	if asked, ok := l.asked[k]; ok && at < asked+l.mention && !l.deleted(k, asked, at) {
		return true
	}
	return slices.ContainsFunc(l.users[k], func(m load.Key) bool { return l.keepsManifest(m, at) })
}

// deleted reports whether anybody may have deleted a blob between two times.
func (l *life) deleted(k load.Key, from, to int64) bool {
	return slices.ContainsFunc(l.deletes[k], func(d span) bool { return d.from < to && d.to > from })
}

// keepsManifest reports whether a manifest that was there is there at a time: it is young, one of the client's tags leads to it, an index that
// stays names it, or its subject stays.
func (l *life) keepsManifest(k load.Key, at int64) bool {
	until, known := l.until[k]
	if !known { // never pushed, or deleted
		return false
	}
	if at < until || l.isTagged(k, at) {
		return true
	}
	if subject := l.named[k.Ref].subject; subject != "" && l.keepsManifest(load.Key{Kind: load.Manifest, Repo: k.Repo, Ref: subject}, at) {
		return true
	}
	return slices.ContainsFunc(l.users[k], func(m load.Key) bool { return l.keepsManifest(m, at) })
}

// isTagged reports whether one of the client's tags holds a manifest for sure. A write whose outcome is not known has come within the grace, or
// never does.
func (l *life) isTagged(k load.Key, at int64) bool {
	for tag, s := range l.model.keys {
		if tag.Kind != load.Tag || tag.Repo != k.Repo || s.now != k.Ref {
			continue
		}
		other := slices.ContainsFunc(s.later, func(value string) bool { return value != s.now })
		if !other || l.unclear[tag]+l.grace < at {
			return true
		}
	}
	return false
}

// common reports whether other clients push the blob, too, that a call names.
func (l *life) common(c load.Call) bool {
	k, ok := load.KeyOf(c)
	pushers := len(l.pushers[k])
	if l.pushers[k][c.Client] {
		pushers--
	}
	return ok && k.Kind == load.Blob && pushers > 0
}

// referrers judges a list of referrers: those of the client's that must be there are in it.
func (m *model) referrers(c load.Call) {
	if m.life == nil {
		return
	}
	if c.Failed() {
		if c.Final {
			m.problem(&m.Lost, c, "cannot be listed in the end")
		}
		return
	}
	for k := range m.life.until {
		if k.Repo != c.Repo || m.life.named[k.Ref].subject != c.Ref || slices.Contains(c.Names, k.Ref) || !m.life.keepsManifest(k, c.Ret) {
			continue
		}
		count := &m.False404
		if c.Final {
			count = &m.Lost
		}
		m.problem(count, c, "the list of referrers lacks %s", k.Ref)
	}
}
