package authn_test

import (
	"errors"
	"testing"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
)

type file map[string]string

func (f file) Fingerprint(name string) string { return f[name] }

// TestStandings: who is in the file with the password of then stands; who another way found is not looked for in it.
func TestStandings(t *testing.T) {
	s := authn.Standings{authn.FileStanding{File: file{"alice": "1"}}, authn.FileStanding{File: file{"alice": "1", "bob": "2"}}}
	for name, want := range map[string]string{"alice": "1", "bob": "2", "eve": ""} {
		if got, err := s.Fingerprint(t.Context(), name); got != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, tc := range []struct {
		name, print string
		way         access.Way
		stands      bool
	}{
		{"alice", "1", access.Htpasswd, true}, {"alice", "", access.Htpasswd, true}, {"alice", "0", access.Htpasswd, false}, {"eve", "", access.Htpasswd, false},
		{"eve", "", access.LDAP, true}, {"alice", "0", access.LDAP, true}, {"", "", access.Nobody, true},
	} {
		id, err := s.Stands(t.Context(), access.Identity{Name: tc.name, Way: tc.way}, tc.print)
		if tc.stands != (err == nil) || !tc.stands && (!errors.Is(err, authn.ErrWrong) || id.Name != "") || tc.stands && id.Name != tc.name {
			t.Errorf("%+v: %+v, %v", tc, id, err)
		}
	}
}
