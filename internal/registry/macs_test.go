package registry_test

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestMACs: under every secret that still verifies, at a replica that made none of them too, and under no other.
func TestMACs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, _ := two(t)
		first := a.MAC("test", []byte("x"))
		if _, err := a.RotateSecret(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		second := a.MAC("test", []byte("x"))
		if got := b.MACs("test", []byte("x")); len(got) != 1 || !bytes.Equal(got[0], first) {
			t.Errorf("before b knows the new secret: %x", got)
		}
		if known, err := b.Verify(t.Context(), second, "test", []byte("x")); !known || err != nil {
			t.Fatal(known, err)
		}
		for _, l := range [][][]byte{a.MACs("test", []byte("x")), b.MACs("test", []byte("x"))} {
			if !slices.EqualFunc(l, [][]byte{second, first}, bytes.Equal) {
				t.Errorf("%x, want %x and %x", l, second, first)
			}
		}
		if got := a.MACs("other", []byte("x")); bytes.Equal(got[0], second) {
			t.Error("the domain makes no difference")
		}
		time.Sleep(25 * time.Hour)
		if got := a.MACs("test", []byte("x")); len(got) != 1 || !bytes.Equal(got[0], second) {
			t.Errorf("a day after the rotation: %x", got)
		}
		if _, err := a.RotateSecret(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if got := a.MACs("test", []byte("x")); len(got) != 1 || bytes.Equal(got[0], second) {
			t.Errorf("after what was before is revoked: %x", got)
		}
	})
}
