package registry

import (
	"encoding/base64"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	datamem "holdfast/internal/data/mem"
	"holdfast/internal/oci"
	recordmem "holdfast/internal/record/mem"
)

// replica returns a registry over stores of its own, whose clock says now.
func replica(t testing.TB, now func() time.Time) *Local {
	t.Helper()
	l, err := New(t.Context(), recordmem.New(recordmem.Config{Clock: now}), datamem.New(datamem.Config{}), Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.keys.every = 0
	t.Cleanup(l.Close)
	return l
}

// seed of the fuzz targets: a token as StartUpload makes it.
var begun = token{id: strings.Repeat("0123456789abcdef", 2), expires: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), algorithm: digest.SHA256}

// A18: a token is good for its repository and caller until it expires, at every replica of its cluster.
func TestTokens(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	records := recordmem.New(recordmem.Config{Clock: func() time.Time { return now }})
	var replicas []*Local
	for range 2 {
		l, err := New(t.Context(), records, datamem.New(datamem.Config{}), Config{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		l.keys.every = 0
		t.Cleanup(l.Close)
		replicas = append(replicas, l)
	}
	alice, bob := WithCaller(t.Context(), "alice"), WithCaller(t.Context(), "bob")
	want := token{id: begun.id, expires: now.Add(time.Hour), algorithm: digest.SHA512, written: true}
	id := replicas[0].seal(alice, "acme/app", want)
	if got, err := replicas[1].unseal(alice, "acme/app", id); err != nil || got.id != want.id || !got.expires.Equal(want.expires) || got.algorithm != want.algorithm || got.written != want.written {
		t.Errorf("at another replica it is %+v, %v, want %+v", got, err, want)
	}
	refused := func(why string, err error) {
		t.Helper()
		if !cmp.Equal(err, oci.ErrBlobUploadUnknown, cmpopts.EquateErrors()) {
			t.Errorf("%s: %v, want BLOB_UPLOAD_UNKNOWN", why, err)
		}
	}
	_, err := replicas[0].unseal(bob, "acme/app", id)
	refused("another caller's", err)
	_, err = replicas[0].unseal(t.Context(), "acme/app", id)
	refused("nobody's", err)
	_, err = replicas[0].unseal(alice, "acme/priv", id)
	refused("another repository's", err)
	_, err = replica(t, func() time.Time { return now }).unseal(alice, "acme/app", id)
	refused("another cluster's", err)
	now = want.expires.Add(time.Second)
	_, err = replicas[0].unseal(alice, "acme/app", id)
	refused("an expired one", err)
}

// The fields under the signature are told apart by their lengths: what moves from one to the next is another token.
func TestTokensOfShiftedFields(t *testing.T) {
	l := replica(t, nil)
	id := l.seal(WithCaller(t.Context(), "bc"), "a", begun)
	for repo, caller := range map[oci.Repository]string{"ab": "c", "abc": "", "": "abc"} {
		if _, err := l.unseal(WithCaller(t.Context(), caller), repo, id); err == nil {
			t.Errorf("the token of a for bc is good for %q of %q", caller, repo)
		}
	}
}

// FuzzUnseal: whatever the id, it is refused, unless it is one that this cluster made, to the letter.
func FuzzUnseal(f *testing.F) {
	l := replica(f, nil)
	good := l.seal(f.Context(), "acme/app", begun)
	for _, id := range []string{"", "A", "=", "../..", good, good + "A", good + "=", good[1:], good[:len(good)-1], strings.ToLower(good), strings.Repeat("A", len(good)), base64.RawURLEncoding.EncodeToString([]byte("\x01"))} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		got, err := l.unseal(t.Context(), "acme/app", id)
		if err == nil && l.seal(t.Context(), "acme/app", got) != id {
			t.Errorf("%q is taken for %+v, of which the cluster makes another id", id, got)
		}
		if err != nil && !cmp.Equal(err, oci.ErrBlobUploadUnknown, cmpopts.EquateErrors()) {
			t.Errorf("%q: %v, want BLOB_UPLOAD_UNKNOWN", id, err)
		}
	})
}

// FuzzSeal: what was made is read as it was; and with any bit of it flipped it is nothing.
func FuzzSeal(f *testing.F) {
	l := replica(f, nil)
	for _, bit := range []uint16{0, 1, 8, 135, 136, 199, 200, 208, 215, 216, 343} {
		f.Add("acme/app", "alice", bit, bit%2 == 0)
	}
	f.Fuzz(func(t *testing.T, repo, caller string, bit uint16, written bool) {
		ctx := WithCaller(t.Context(), caller)
		want := begun
		want.written = written
		id := l.seal(ctx, oci.Repository(repo), want)
		if strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("%q cannot stand in a path", id)
		}
		got, err := l.unseal(ctx, oci.Repository(repo), id)
		if err != nil || got.id != want.id || !got.expires.Equal(want.expires) || got.written != written {
			t.Errorf("%+v became %+v, %v", want, got, err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(id)
		if err != nil {
			t.Fatal(err)
		}
		raw[int(bit/8)%len(raw)] ^= 1 << (bit % 8)
		if got, err := l.unseal(ctx, oci.Repository(repo), base64.RawURLEncoding.EncodeToString(raw)); err == nil {
			t.Errorf("with bit %d flipped it is %+v", bit, got)
		}
	})
}
