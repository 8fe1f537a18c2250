package cached

import (
	"bytes"
	"testing"
	"time"

	"holdfast/internal/record"
)

// FuzzEnvelope: whatever bytes a cache holds, opening them ends; and what opens was sealed here, for the key and as the kind that is asked for.
func FuzzEnvelope(f *testing.F) {
	s := sealer{[]byte("secret"), "store"}
	value := sealed{fence{7, "nonce"}, record.Record{Value: []byte("value\n"), Stamp: record.Stamp{Version: "v", Modified: time.Unix(1_800_000_000, 5).UTC()}}}
	good := s.seal(kindLink, "l/00/a/b", value)
	f.Add(good)
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{1}, 33))
	f.Fuzz(func(t *testing.T, envelope []byte) {
		if _, err := s.open(kindLink, "l/00/a/b", envelope); (err == nil) != bytes.Equal(envelope, good) {
			t.Errorf("%x: %v", envelope, err)
		}
		// The same with its MAC made right: no form of it may break the reader.
		if len(envelope) < macOverhead {
			return
		}
		envelope[0] = envelopeVersion
		copy(envelope[1:], s.mac("cached value", []byte{envelopeVersion}, []byte("k"), envelope[macOverhead:]))
		if v, err := s.open(kindLink, "k", envelope); err == nil && !bytes.Equal(s.seal(kindLink, "k", v), envelope) {
			t.Errorf("%x opens, and is not what is sealed", envelope)
		}
	})
}

func TestEnvelope(t *testing.T) {
	s := sealer{[]byte("secret"), "store"}
	value := sealed{fence{1 << 60, "nonce"}, record.Record{Value: []byte("value\n"), Stamp: record.Stamp{Version: "v", Modified: time.Unix(1_800_000_000, 5).UTC()}}}
	good := s.seal(kindLink, "l/00/a/b", value)
	got, err := s.open(kindLink, "l/00/a/b", good)
	if err != nil || got.fence != value.fence || got.rec.Stamp != value.rec.Stamp || !bytes.Equal(got.rec.Value, value.rec.Value) {
		t.Errorf("%+v %v", got, err)
	}
	for _, row := range []struct {
		s    sealer
		kind kind
		key  record.Key
	}{
		{s, kindFence, "l/00/a/b"}, {s, kindLink, "l/00/a/c"},
		{sealer{[]byte("another"), "store"}, kindLink, "l/00/a/b"}, {sealer{[]byte("secret"), "another"}, kindLink, "l/00/a/b"},
	} {
		if _, err := row.s.open(row.kind, row.key, good); err == nil {
			t.Errorf("it opens as %c %s of %s", row.kind, row.key, row.s.identity)
		}
		if row.s.name(row.kind, row.key) == s.name(kindLink, "l/00/a/b") {
			t.Errorf("%c %s of %s has the same name", row.kind, row.key, row.s.identity)
		}
	}
	if name := s.name(kindLink, "l/00/a/b"); len(name) > 128 {
		t.Errorf("a name of %d bytes", len(name))
	}
	for i := range good {
		if _, err := s.open(kindLink, "l/00/a/b", good[:i]); err == nil {
			t.Errorf("its first %d bytes open", i)
		}
		flipped := bytes.Clone(good)
		flipped[i] ^= 0x20
		if _, err := s.open(kindLink, "l/00/a/b", flipped); err == nil {
			t.Errorf("byte %d flipped opens", i)
		}
	}
}
