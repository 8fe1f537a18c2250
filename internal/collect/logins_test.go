package collect_test

import (
	"testing"

	"holdfast/internal/collect"
	"holdfast/internal/format"
)

// TestLogins: sessions of people go when they ended long ago, by themselves or by a logout, and none that may be good.
func TestLogins(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		begin := func() (string, format.Stored[format.Login]) {
			id := format.RandomID()
			head := format.Login{Name: "alice", Until: h.records.Now()}
			head.State = format.Live
			s, err := format.Write(t.Context(), h.store, format.LoginKey(id), format.Stored[format.Login]{}, head, nil, false)
			if err != nil {
				t.Fatal(err)
			}
			return id, s
		}
		begin()
		out, s := begin()
		if _, err := format.Write(t.Context(), h.store, format.LoginKey(out), s, format.Killed(format.Login{}), nil, false); err != nil {
			t.Fatal(err)
		}
		h.pass(day)
		h.collect(false, collect.Config{})
		if got := h.keys(format.PrefixLogins); len(got) != 2 {
			t.Errorf("after a day: %q", got)
		}
		young, _ := begin()
		h.pass(3 * day / 24)
		h.collect(false, collect.Config{DryRun: true})
		if got := h.keys(format.PrefixLogins); len(got) != 3 {
			t.Errorf("after a dry run: %q", got)
		}
		h.collect(false, collect.Config{})
		if got := h.keys(format.PrefixLogins); len(got) != 1 || got[0] != string(format.LoginKey(young)) {
			t.Errorf("after a day and three hours: %q", got)
		}
	})
}
