package format

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
)

// FuzzDecode: whatever the store holds, it is read or refused; and what was read is written as what it was.
func FuzzDecode(f *testing.F) {
	heads := func() []Header {
		return []Header{&Blob{}, &Link{}, &Manifest{}, &Tag{}, &Referrers{}, &Fence{}, &Marker{}, &Upload{}, &Pulled{}, &PulledSince{}, &Revocation{}, &APIKey{}}
	}
	for i, h := range heads() {
		h.base().Version, h.base().Nonce = Version, "n"
		value, err := Encode(h, []byte("body\nof it"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), value)
	}
	for _, value := range []string{"", "\n", "{}\n", "{\"v\":2}\n", "{\"v\":1}", "null\n", "{\"v\":1,\"st\":\"dead\",\"t\":\"0000-01-01T00:00:00Z\"}\n", "{\"v\":1,\"segments\":[{\"size\":-1}]}\n", "{\"v\":1,\"list\":[{}]}\nx", "{\"v\":1,\"hash\":\"!\"}\n"} {
		for i := range heads() {
			f.Add(uint8(i), []byte(value))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, value []byte) {
		i := int(which) % len(heads())
		h, again := heads()[i], heads()[i]
		body, err := Decode(value, h)
		if err != nil {
			return
		}
		written, err := Encode(h, body)
		if err != nil {
			if h.base().State != Dead { // a tombstone has a size that it may not exceed
				t.Fatal(err)
			}
			return
		}
		if dies := h.base().State == Dead; dies != (len(written) == DeadSize) || !dies && len(written) < MinLiveSize {
			t.Errorf("a value that is %q has %d bytes", h.base().State, len(written))
		}
		got, err := Decode(written, again)
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("the body %q became %q, %v", body, got, err)
		}
		if diff := cmp.Diff(h, again, cmpopts.EquateEmpty(), cmp.AllowUnexported(Blob{}, Link{}, Manifest{}, Tag{}, Referrers{}, Fence{}, Marker{}, Upload{}, Pulled{}, PulledSince{}, Revocation{}, APIKey{})); diff != "" {
			t.Errorf("the head changed (-read +written and read again):\n%s", diff)
		}
	})
}

// FuzzEscapeRepository: a repository is one part of a key, its own, of the same length and in the same order.
func FuzzEscapeRepository(f *testing.F) {
	names := []string{"a", "a-b", "a.b", "a/b", "a_b", "a__b", "a--b", "a/b-c", "a.b/c", "ab", "a0", strings.Repeat("a/", 127) + "a"}
	for _, a := range names {
		for _, b := range names {
			f.Add(a, b)
		}
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		a, errA := oci.ParseRepository(one)
		b, errB := oci.ParseRepository(other)
		if errA != nil || errB != nil {
			return
		}
		x, y := EscapeRepository(a), EscapeRepository(b)
		if strings.Contains(x, "/") || len(x) != len(a) || UnescapeRepository(x) != a {
			t.Errorf("%q is %q, and back %q", a, x, UnescapeRepository(x))
		}
		if strings.Compare(one, other) != strings.Compare(x, y) {
			t.Errorf("%q and %q are in another order than %q and %q", x, y, a, b)
		}
	})
}

// FuzzPartDigest: a part of a key is the digest that it was made of, or none.
func FuzzPartDigest(f *testing.F) {
	for _, s := range []string{"", "-", "sha256-", "sha256:", DigestPart(digest.FromString("")), DigestPart(digest.SHA512.FromString("")), string(digest.FromString(""))} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, part string) {
		d, err := PartDigest(part)
		if err == nil && DigestPart(d) != strings.Replace(part, ":", "-", 1) {
			t.Errorf("%q is %q, whose part is %q", part, d, DigestPart(d))
		}
	})
}
