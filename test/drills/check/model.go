package check

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"holdfast/test/drills/load"
)

// there is the value of a manifest or a blob, which is either there or not (""). The value of a tag is a digest.
const there = "there"

// state is what one client may find under a key.
type state struct {
	now   string
	later []string // writes with an unknown outcome: each may take effect yet
	maybe bool     // another client may have put it, and then nobody deletes it
}

// write notes a write of value: done, or maybe to be done yet.
func (s *state) write(value string, done bool) {
	if done {
		s.now = value
		return
	}
	s.later = append(s.later, value) // also what is there already: it may come after another write
}

// read notes that value was read, and reports whether it may.
func (s *state) read(value string) bool {
	if value == s.now {
		return true
	}
	n := slices.Index(s.later, value)
	if n < 0 && s.maybe && s.now == "" {
		s.now = value
		return true
	}
	if n < 0 {
		return false
	}
	s.now, s.later = value, slices.Delete(s.later, n, n+1)
	return true
}

// model follows one client.
type model struct {
	*Verdict
	keys    map[load.Key]*state
	appends map[string]bool // uploads, by digest, of which a chunk had an unknown outcome
	ended   map[string]bool // and those whose commit or append was not answered: the session may be gone
	life    *life           // what a collector must leave; nil: there is none
}

func newModel(v *Verdict, c *collected) *model {
	m := &model{Verdict: v, keys: make(map[load.Key]*state), appends: make(map[string]bool), ended: make(map[string]bool)}
	if c != nil {
		m.life = newLife(m, c)
	}
	return m
}

func (m *model) at(kind, repo, ref string) *state {
	k := load.Key{Kind: kind, Repo: repo, Ref: ref}
	if m.keys[k] == nil {
		m.keys[k] = &state{maybe: kind == load.Blob}
	}
	return m.keys[k]
}

func (m *model) follow(calls []load.Call) {
	for _, c := range calls {
		if m.life != nil {
			m.life.revive(c)
		}
		switch c.Op {
		case load.BlobAppend, load.BlobStatus, load.BlobCommit:
			m.upload(c)
		case load.BlobMount:
			if c.Failed() || c.Status == http.StatusCreated {
				m.at(load.Blob, c.Repo, c.Ref).write(there, c.OK())
			}
		case load.BlobDelete:
			m.remove(c, m.at(load.Blob, c.Repo, c.Ref))
		case load.BlobGet, load.BlobHead, load.BlobRange:
			m.read(c, m.at(load.Blob, c.Repo, c.Ref), there)
		case load.ManifestPut:
			m.putManifest(c)
		case load.ManifestGet:
			m.getManifest(c)
		case load.TagDelete:
			if load.Whose(c.Ref) == c.Client {
				m.remove(c, m.at(load.Tag, c.Repo, c.Ref))
			}
		case load.ManifestDelete:
			m.deleteManifest(c)
		case load.TagsList:
			m.list(c)
		case load.ReferrersList:
			m.referrers(c)
		}
		if m.life != nil {
			m.life.note(c)
		}
	}
}

// upload judges the steps of an upload. What was acknowledged of it may not be forgotten.
func (m *model) upload(c load.Call) {
	id := c.Repo + " " + c.Ref
	switch {
	case c.Failed():
		m.appends[id] = m.appends[id] || c.Op == load.BlobAppend
		m.ended[id] = m.ended[id] || c.Op == load.BlobCommit
	case c.Status == http.StatusNotFound && (c.Op != load.BlobStatus || !m.ended[id]):
		m.problem(&m.False404, c, "an upload that is under way is unknown")
	case c.Status == http.StatusRequestedRangeNotSatisfiable && !m.appends[id]:
		m.problem(&m.Unexpected, c, "a chunk in its place is refused")
	}
	if c.Op == load.BlobCommit && (c.Failed() || c.OK()) {
		m.at(load.Blob, c.Repo, c.Ref).write(there, c.OK())
	}
}

// remove judges a delete of what c names.
func (m *model) remove(c load.Call, s *state) {
	if m.life == nil || !m.life.common(c) {
		s.maybe = false
	}
	switch {
	case c.Failed():
		s.write("", false)
	case c.OK():
		s.write("", true)
	case c.Status == http.StatusNotFound:
		m.absent(c, s)
	}
}

// read judges a read that answers whether s is there, and with which value.
func (m *model) read(c load.Call, s *state, value string) {
	switch {
	case c.Failed() && c.Final:
		m.problem(&m.Lost, c, "cannot be read in the end")
	case c.Failed():
	case c.Status == http.StatusNotFound:
		m.absent(c, s)
	case c.OK():
		before := s.now
		if s.read(value) {
			return
		}
		if before == "" {
			m.problem(&m.Resurrected, c, "is there, and was deleted or never written")
			return
		}
		m.problem(&m.Lost, c, "has %s, want %s", value, before)
	}
}

func (m *model) absent(c load.Call, s *state) {
	before := s.now
	switch {
	case s.read(""):
	case m.life != nil && m.life.over(c):
		s.write("", true) // and may come back by another push only
	case c.Final:
		m.problem(&m.Lost, c, "is not there, want %s", before)
	default:
		m.problem(&m.False404, c, "is said not to be there, want %s", before)
	}
}

func (m *model) putManifest(c load.Call) {
	switch {
	case c.Status != http.StatusNotFound:
	case m.life != nil && m.life.late(c):
		m.Late++
	default:
		if m.life != nil {
			m.Broken++
		}
		m.problem(&m.False404, c, "what the manifest names is said not to be there")
	}
	if !c.Failed() && !c.OK() {
		return
	}
	m.at(load.Manifest, c.Repo, c.Digest).write(there, c.OK())
	if load.Whose(c.Ref) == c.Client {
		m.at(load.Tag, c.Repo, c.Ref).write(c.Digest, c.OK())
	}
}

func (m *model) getManifest(c load.Call) {
	if strings.Contains(c.Ref, ":") {
		m.read(c, m.at(load.Manifest, c.Repo, c.Ref), there)
	} else if load.Whose(c.Ref) == c.Client {
		m.read(c, m.at(load.Tag, c.Repo, c.Ref), c.Digest)
	}
}

// deleteManifest removes a manifest and the client's tags that hold it.
func (m *model) deleteManifest(c load.Call) {
	m.remove(c, m.at(load.Manifest, c.Repo, c.Ref))
	if !c.Failed() && !c.OK() {
		return
	}
	for k, s := range m.keys {
		if k.Kind == load.Tag && k.Repo == c.Repo && (s.now == c.Ref || slices.Contains(s.later, c.Ref)) {
			s.write("", c.OK() && s.now == c.Ref)
		}
	}
}

// list judges the client's own tags in a list: nobody else writes them, so that they are as the client left them.
func (m *model) list(c load.Call) {
	if c.Failed() {
		if c.Final {
			m.problem(&m.Lost, c, "cannot be listed in the end")
		}
		return
	}
	if c.OK() && !ascending(c.Names) {
		m.problem(&m.Corrupt, c, "tags are not in order, each once: %s", strings.Join(c.Names, " "))
	}
	for k, s := range m.keys {
		if k.Kind != load.Tag || k.Repo != c.Repo {
			continue
		}
		one := c
		one.Ref = k.Ref
		if !slices.Contains(c.Names, k.Ref) {
			m.absent(one, s)
		} else if s.now == "" {
			m.listed(one, s)
		}
	}
	for _, name := range c.Names {
		if load.Whose(name) == c.Client && m.keys[load.Key{Kind: load.Tag, Repo: c.Repo, Ref: name}] == nil {
			m.problem(&m.Resurrected, c, "lists %s, which was never set", name)
		}
	}
}

// listed takes note that a tag that was thought absent is there: one of the writes in flight has come.
func (m *model) listed(c load.Call, s *state) {
	if slices.ContainsFunc(s.later, func(value string) bool { return value != "" }) {
		return // which of several is seen when it is read
	}
	m.problem(&m.Resurrected, c, "is listed, and was deleted")
}

// shared judges the tags that all clients set and none deletes: what is read was put, and nothing
// acknowledged lies between.
func shared(v *Verdict, calls []load.Call) {
	puts := make(map[load.Key][]load.Call)
	for _, c := range calls {
		if k, ok := load.KeyOf(c); ok && k.Kind == load.Tag && load.Whose(k.Ref) == 0 && c.Op == load.ManifestPut {
			puts[k] = append(puts[k], c)
		}
	}
	for _, c := range calls {
		k, ok := load.KeyOf(c)
		if !ok || c.Op != load.ManifestGet || k.Kind != load.Tag || load.Whose(k.Ref) != 0 {
			continue
		}
		bad, count := judgeShared(c, puts[k]), &v.False404
		if c.Final || c.OK() {
			count = &v.Lost
		}
		if bad != "" {
			v.problem(count, c, "%s", bad)
		}
	}
}

// judgeShared says what is wrong with a read of a shared tag, "" for nothing.
func judgeShared(read load.Call, puts []load.Call) string {
	if read.Failed() {
		if read.Final {
			return "cannot be read in the end"
		}
		return ""
	}
	var last int64 // when the latest put began of those that had been acknowledged before the read
	for _, p := range puts {
		if p.OK() && p.Ret < read.Call {
			last = max(last, p.Call)
		}
	}
	if read.Status == http.StatusNotFound {
		if last > 0 {
			return "is said not to be there, and was set"
		}
		return ""
	}
	written := false
	for _, p := range puts {
		if p.Digest != read.Digest || p.Call > read.Ret || !p.OK() && !p.Failed() {
			continue
		}
		written = true
		if p.Failed() || p.Ret >= last { // else a put that began after this one's end came before the read
			return ""
		}
	}
	if !written {
		return fmt.Sprintf("has %s, which nobody put", read.Digest)
	}
	return fmt.Sprintf("has %s, which was replaced before the read", read.Digest)
}
