package simulate

import (
	"strings"

	"holdfast/internal/data"
	"holdfast/internal/record"
)

// mirror holds what the stores hold, parsed, and checks after each write what must hold at every moment:
//
//   - I2: a link live or condemned implies a record live or condemned, and its segments present;
//   - I3: segments that a record names leave only under a doomed record, and doomed is left only after
//     they are gone;
//   - a segment is named by one record at most, and by no session that could give it to another (checkNaming);
//   - dead values have 512 bytes, all others 1024 at least.
type mirror struct {
	world    *world
	rotten   map[data.ID]bool // segments with other bytes than were written
	damaged  map[data.ID]bool // what a corrupt record named
	values   map[record.Key]*value
	links    map[string]map[record.Key]*value // by the part of the key that names the digest
	segments map[data.ID]int64
}

func newMirror(w *world) *mirror {
	return &mirror{
		world: w, values: map[record.Key]*value{}, links: map[string]map[record.Key]*value{}, segments: map[data.ID]int64{},
		rotten: map[data.ID]bool{}, damaged: map[data.ID]bool{},
	}
}

func (m *mirror) version(key record.Key) record.Version {
	if v := m.values[key]; v != nil {
		return v.version
	}
	return ""
}

// digestOf returns the part of a record's or a link's key that both have.
func digestOf(key record.Key) string {
	_, rest, _ := strings.Cut(string(key), "/")
	h2, rest, _ := strings.Cut(rest, "/")
	part, _, _ := strings.Cut(rest, "/")
	return h2 + "/" + part
}

func (m *mirror) put(key record.Key, raw []byte, stamp record.Stamp) {
	v, err := parseValue(raw, stamp)
	if err != nil {
		m.world.breaks("%s: %v", key, err)
		return
	}
	before := m.values[key]
	m.values[key] = v
	if dead := v.head.State == "dead"; dead != (v.size == 512) || !dead && v.size < 1024 {
		m.world.breaks("%s is %q and has %d bytes", key, v.head.State, v.size)
	}
	m.checkNaming(key, v)
	switch key[0] {
	case 'l':
		d := digestOf(key)
		if m.links[d] == nil {
			m.links[d] = map[record.Key]*value{}
		}
		m.links[d][key] = v
		m.checkLink(key, v)
	case 'b':
		if before != nil && before.head.State == "doomed" {
			m.checkDeleted(key, before)
		}
		m.checkRecord(key, v)
	}
}

func (m *mirror) remove(key record.Key) {
	delete(m.values, key)
	if key[0] == 'l' {
		delete(m.links[digestOf(key)], key)
	}
}

func (m *mirror) commit(id data.ID, size int64) { m.segments[id] = size }

// drop notes that a segment is gone. I3.
func (m *mirror) drop(id data.ID) {
	delete(m.segments, id)
	for key, v := range m.values {
		if key[0] != 'b' || !v.named() {
			continue
		}
		for _, s := range v.head.Segments {
			if s.ID == id {
				m.world.breaks("I3: a segment of %s was deleted while the record is %s", m.world.keyName(key), v.head.State)
			}
		}
	}
}

func (m *mirror) checkLink(key record.Key, v *value) {
	if !v.present() {
		return
	}
	d := digestOf(key)
	rec := m.values[record.Key("b/"+d)]
	if !rec.named() {
		state := "absent"
		if rec != nil {
			state = rec.head.State
		}
		m.world.breaks("I2: %s is %s, its record is %s", m.world.keyName(key), v.head.State, state)
		return
	}
	m.checkSegments(key, v)
}

// checkRecord looks at the links of a record that was written.
func (m *mirror) checkRecord(key record.Key, v *value) {
	if v.named() {
		m.checkSegments(key, v)
	}
	for link, l := range m.links[digestOf(key)] {
		m.checkLink(link, l)
	}
}

func (m *mirror) checkSegments(key record.Key, v *value) {
	var total int64
	for _, s := range v.head.Segments {
		size, ok := m.segments[s.ID]
		if !ok || size != s.Size {
			m.world.breaks("%s is %s, and a segment that it names is not there (%d bytes of %d)", m.world.keyName(key), v.head.State, size, s.Size)
			return
		}
		total += size
	}
	if total != v.head.Size {
		m.world.breaks("%s says %d bytes, its segments have %d", m.world.keyName(key), v.head.Size, total)
	}
}

func (m *mirror) checkDeleted(key record.Key, doomed *value) {
	for _, s := range doomed.head.Segments {
		if _, ok := m.segments[s.ID]; ok {
			m.world.breaks("I3: %s is doomed no more, and a segment of it is still there", m.world.keyName(key))
		}
	}
}

// keyName names a record for people.
func (w *world) keyName(key record.Key) string {
	return w.names.key(verbGet, string(key), true)
}
