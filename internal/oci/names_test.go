package oci_test

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
)

// The forms of the distribution-spec, "Pulling manifests", and of the image-spec, "Digests".
var (
	nameForm      = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagForm       = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	digestForm    = regexp.MustCompile(`^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$`)
	mediaTypeForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$`)
)

var (
	hex64    = strings.Repeat("0123456789abcdef", 4)
	nameSeed = []string{
		"", "a", "a/b", "a.b", "a..b", "a_b", "a__b", "a___b", "a-b", "a---b", "-a", "a-", "a.-b", "a/", "/a", "a//b", "A", "é", "a\x00", "a\nb", "..", "a/../b",
		strings.Repeat("a", 255), strings.Repeat("a", 256), strings.Repeat("a/", 127) + "a", "v1", "_", ".x", "latest", "v1.2.3-rc_1", strings.Repeat("x", 128), strings.Repeat("x", 129),
		"sha256:", "sha256:zz", "sha256:" + hex64, "sha256:" + strings.ToUpper(hex64), "sha256:" + hex64 + "0", "sha512:" + hex64, "sha512:" + hex64 + hex64, "sha384:" + hex64 + hex64[:32],
		"md5:d41d8cd98f00b204e9800998ecf8427e", ":", "SHA256:" + hex64, "sha256:" + hex64 + "\n",
		strings.Repeat("é", 40), "a" + strings.Repeat("é", 40), strings.Repeat("😀", 20) + "a", "abc" + strings.Repeat("😀", 20), strings.Repeat("\x80", 80),
	}
)

// checkError checks that a refusal is of a code and can be shown.
func checkError(t *testing.T, err error, codes ...oci.Code) {
	t.Helper()
	var e *oci.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no error for a client", err)
	}
	right := false
	for _, code := range codes {
		right = right || e.Code == code
	}
	field, ok := e.Detail.(oci.Field)
	if !right || e.Message == "" || !ok || field.Field == "" || len(field.Got) > 67 {
		t.Errorf("%+v, want one of %v with a message and a field", e, codes)
	}
	if !errors.Is(err, &oci.Error{Code: e.Code}) || errors.Is(err, oci.ErrUnavailable) || !strings.Contains(err.Error(), string(e.Code)) {
		t.Errorf("%v is not its own code", err)
	}
}

func addSeeds(f *testing.F) {
	for _, s := range nameSeed {
		f.Add(s)
	}
}

func FuzzParseRepository(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := oci.ParseRepository(s)
		if want := nameForm.MatchString(s) && len(s) <= 255; want != (err == nil) || want && string(got) != s {
			t.Errorf("%q is %q, %v; the spec's form says %t", s, got, err, want)
		}
		if err != nil {
			checkError(t, err, oci.NameInvalid)
		}
	})
}

func FuzzParseTag(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := oci.ParseTag(s)
		if want := tagForm.MatchString(s); want != (err == nil) || want && string(got) != s {
			t.Errorf("%q is %q, %v; the spec's form says %t", s, got, err, want)
		}
		if err != nil {
			checkError(t, err, oci.ManifestInvalid)
		}
	})
}

func FuzzParseDigest(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := oci.ParseDigest(s)
		if want := digestForm.MatchString(s); want != (err == nil) || want && string(got) != s {
			t.Errorf("%q is %q, %v; the spec's form says %t", s, got, err, want)
		}
		if err != nil {
			checkError(t, err, oci.DigestInvalid)
			return
		}
		if err := got.Validate(); err != nil || !got.Algorithm().Available() {
			t.Errorf("%q is no digest for go-digest: %v", s, err)
		}
		if alg, err := oci.ParseAlgorithm(string(got.Algorithm())); err != nil || alg != got.Algorithm() {
			t.Errorf("the algorithm of %q is %q, %v", s, alg, err)
		}
	})
}

func FuzzParseReference(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := oci.ParseReference(s)
		if want := digestForm.MatchString(s) || tagForm.MatchString(s); want != (err == nil) {
			t.Fatalf("%q is %+v, %v; the spec's forms say %t", s, got, err, want)
		}
		if err != nil {
			checkError(t, err, oci.ManifestInvalid, oci.DigestInvalid)
			return
		}
		if got.String() != s || (got.Tag == "") == (got.Digest == "") {
			t.Errorf("%q is %+v", s, got)
		}
	})
}

func FuzzIsMediaType(f *testing.F) {
	for _, s := range []string{"", "/", "a/b", "a/b/c", "text/plain; charset=utf-8", oci.MediaTypeImageIndex, "a/ b", "+a/b", "a/\xff", strings.Repeat("a", 127) + "/b", strings.Repeat("a", 128) + "/b", "\xf8/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := oci.IsMediaType(s), mediaTypeForm.MatchString(s); got != want {
			t.Errorf("%q: %t, want %t", s, got, want)
		}
	})
}

func FuzzClip(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, s string) {
		got := oci.Clip(s)
		if len(got) > 67 || len(s) <= 64 && got != s || len(s) > 64 && !strings.HasPrefix(s, got[:60]) {
			t.Errorf("%q is cut to %q", s, got)
		}
		if utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Errorf("%q is cut within a character: %q", s, got)
		}
	})
}

func TestAlgorithmsThatAreRefused(t *testing.T) {
	for _, s := range []string{"", "md5", "sha1", "sha384", "SHA256", "sha256 "} {
		_, err := oci.ParseAlgorithm(s)
		if err == nil {
			t.Errorf("%q is an algorithm", s)
			continue
		}
		checkError(t, err, oci.DigestInvalid)
	}
	if alg, err := oci.ParseAlgorithm("sha512"); alg != digest.SHA512 || err != nil {
		t.Errorf("sha512 is %q, %v", alg, err)
	}
}

func TestErrorsAreTheirParts(t *testing.T) {
	cause := errors.New("cause")
	one := &oci.Error{Code: oci.BlobUnknown, Message: "one", Err: cause}
	several := oci.Errors{one, oci.Errorf(oci.BlobUnknown, "two %d", 2).With(oci.InUse)}
	if got, want := several.Error(), "BLOB_UNKNOWN: one: cause; BLOB_UNKNOWN: two 2"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !errors.Is(several, oci.ErrBlobUnknown) || !errors.Is(several, cause) || errors.Is(several, oci.ErrDenied) || several[1].Reason != oci.InUse {
		t.Errorf("%v is not what it is made of", several)
	}
}

func TestIsDigest(t *testing.T) {
	for _, content := range [][]byte{nil, []byte("a"), bytes.Repeat([]byte("b"), 1<<16)} {
		for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			d := alg.FromBytes(content)
			if !oci.IsDigest(d, content) || oci.IsDigest(d, append([]byte("x"), content...)) || oci.IsDigest(d[:len(d)-1], content) {
				t.Errorf("%s of %d bytes", alg, len(content))
			}
		}
	}
	d, content := digest.FromString("a"), []byte("a")
	if n := testing.AllocsPerRun(100, func() { oci.IsDigest(d, content) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
