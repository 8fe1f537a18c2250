package simulate

import (
	"maps"
	"slices"
	"strings"

	"holdfast/internal/data"
	"holdfast/internal/record"
)

// checkNaming checks, after key was written, that of what it names nothing is named elsewhere, but for what
// belongs together:
//
//   - a segment is of one record;
//   - of one session: and if that has become a blob, or an attempt died on the way, it is done with the record's digest,
//     neither open, so that another commit could install it, nor aborted, so that it could be collected, unless the
//     record's segments go anyhow (ADR 5);
//   - links name what the record of their digest names, unless that was installed anew since its bytes were damaged;
//   - a record never takes bytes back that were found damaged.
func (m *mirror) checkNaming(key record.Key, v *value) {
	ids := m.named(key, v)
	if len(ids) == 0 {
		return
	}
	if v.head.State == "corrupt" {
		for id := range ids {
			m.damaged[id] = true
		}
	}
	if key[0] == 'b' && v.present() && m.namesDamaged(key, v) {
		m.world.breaks("%s is %s, and names a segment that was found damaged", m.world.keyName(key), v.head.State)
	}
	for _, other := range slices.Sorted(maps.Keys(m.values)) {
		o := m.values[other]
		if other == key || mayShare(key, v, other, o) || mayShare(other, o, key, v) {
			continue
		}
		for id := range m.named(other, o) {
			if ids[id] {
				m.world.breaks("%s is %s, %s is %s, and both name %s", m.world.keyName(key), v.head.State,
					m.world.keyName(other), o.head.State, m.world.names.key(verbStat, string(id), true))
			}
		}
	}
}

// named returns the segments that a record, a link or a session names; none of what counts for nothing.
func (m *mirror) named(key record.Key, v *value) map[data.ID]bool {
	if !strings.ContainsRune("blu", rune(key[0])) || v.head.State == "void" || v.head.State == "dead" {
		return nil
	}
	ids := map[data.ID]bool{}
	for _, s := range v.head.Segments {
		ids[s.ID] = true
	}
	return ids
}

// mayShare reports whether a may name segments that b names, seen from a.
func mayShare(a record.Key, av *value, b record.Key, bv *value) bool {
	switch {
	case a[0] == 'u' && av.head.State == "aborted" && bv.head.State == "doomed":
		return true // whoever resumed it saw that its segments go
	case a[0] == 'l' && (b[0] == 'l' || b[0] == 'b'):
		return digestOf(a) == digestOf(b)
	case a[0] == 'u' && (b[0] == 'b' || b[0] == 'l'):
		return av.head.State == "done" && strings.HasSuffix(digestOf(b), "/sha256-"+av.head.Digest.Encoded())
	}
	return false
}
