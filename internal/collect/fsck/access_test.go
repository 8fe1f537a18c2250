package fsck_test

import (
	"strings"
	"testing"
	"time"

	"holdfast/internal/collect/fsck"
	"holdfast/internal/format"
	"holdfast/internal/record"
)

const keyID = "00112233445566778899aabbccddeeff"

// access writes what access control keeps: a revocation, an API key in the list of its user, and one that was deleted.
func (s *site) access() {
	s.t.Helper()
	revocation := format.Revocation{User: "bob", NotBefore: s.clock.time()}
	revocation.State = format.Live
	_, err := format.Write(s.ctx(), s.store, format.RevocationKey("bob"), format.Stored[format.Revocation]{}, revocation, nil, true)
	s.check(err)
	for id, state := range map[string]format.State{keyID: format.Live, strings.Repeat("e", 32): format.Dead} {
		var marker format.Marker
		marker.State = format.Live
		_, err = format.Write(s.ctx(), s.store, format.APIKeyOfKey("alice", id), format.Stored[format.Marker]{}, marker, nil, true)
		s.check(err)
		key := format.APIKey{User: "alice", Hash: make([]byte, 32), Created: s.clock.time()}
		if state == format.Dead {
			key = format.APIKey{}
		}
		key.State = state
		_, err = format.Write(s.ctx(), s.store, format.APIKeyKey(id), format.Stored[format.APIKey]{}, key, nil, true)
		s.check(err)
	}
}

// TestHealthyAccess: nothing is found in what is well, and it is counted.
func TestHealthyAccess(t *testing.T) {
	s, _ := full(t)
	s.access()
	s.clock.pass(30 * 24 * time.Hour)
	r := s.run(fsck.Config{})
	for class, want := range map[fsck.Class]int64{fsck.Revocations: 1, fsck.APIKeys: 2, fsck.APIKeyMarkers: 2} {
		if r.Checked[class] != want {
			t.Errorf("%d %s, want %d", r.Checked[class], class, want)
		}
	}
	for kind := range r.Counts {
		if kind == fsck.APIKeyUnlisted || kind == fsck.UnknownKey || kind == fsck.IllegalField || kind == fsck.IllegalState {
			t.Errorf("%s is found", kind)
		}
	}
}

func brokenAccess() []broken {
	unlist := func(s *site, _ bodies) {
		s.access()
		s.remove(format.APIKeyOfKey("alice", keyID))
	}
	return []broken{
		{name: "an API key of no list", do: unlist, want: kinds{fsck.APIKeyUnlisted}},
		{
			name: "an API key of nobody", do: func(s *site, _ bodies) {
				s.access()
				edit(s, format.APIKeyKey(keyID), func(h *format.APIKey, _ []byte) []byte { h.User = ""; return nil })
			},
			want: kinds{fsck.IllegalField}, left: kinds{fsck.IllegalField}, heal: func(s *site, _ bodies) { s.remove(format.APIKeyKey(keyID)) },
		},
		{
			name: "a revocation of another", do: func(s *site, _ bodies) {
				s.access()
				edit(s, format.RevocationKey("bob"), func(h *format.Revocation, _ []byte) []byte { h.User = "alice"; return nil })
			},
			want: kinds{fsck.IllegalField}, left: kinds{fsck.IllegalField}, heal: func(s *site, _ bodies) { s.remove(format.RevocationKey("bob")) },
		},
		stray("API keys", format.PrefixAPIKeys+"00/strange"),
		stray("revocations", format.PrefixRevocations+"00/alice"),
		stray("a user's API keys", format.APIKeysOfPrefix("alice")+"x"),
	}
}

// stray is a key that nobody makes.
func stray(where string, key record.Key) broken {
	return broken{
		name: "a strange key among " + where, do: func(s *site, _ bodies) { s.put(key, strings.Repeat("x", 2000)) },
		want: kinds{fsck.UnknownKey}, left: kinds{fsck.UnknownKey},
	}
}
