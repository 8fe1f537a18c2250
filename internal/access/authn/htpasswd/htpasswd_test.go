package htpasswd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/crypto/bcrypt"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
)

func bcrypted(t testing.TB, password string, cost int) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func shaCrypted(t testing.TB, password string, opts ...shacrypt.Opt) string {
	t.Helper()
	h, err := shacrypt.New(append(opts, shacrypt.WithRounds(1000))...)
	if err != nil {
		t.Fatal(err)
	}
	d, err := h.Hash(password)
	if err != nil {
		t.Fatal(err)
	}
	return d.Encode()
}

func file(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "htpasswd")
	write(t, path, lines...)
	return path
}

func write(t testing.TB, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, path string) *Way {
	t.Helper()
	w, err := Open(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestCheck(t *testing.T) {
	long := strings.Repeat("x", 72)
	w := open(t, file(t, "# comment", "", "bob:"+bcrypted(t, "b0b", 4)+"\r", "eve:"+shaCrypted(t, "3ve", shacrypt.WithSHA256())+":a comment",
		"joe:"+shaCrypted(t, "j0e", shacrypt.WithSHA512()), "long:"+bcrypted(t, long, 4),
		// Made by openssl passwd -5 and -6.
		`spec:$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5`,
		`spec6:$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1`))
	for _, c := range []struct {
		name, password string
		err            error
	}{
		{"bob", "b0b", nil}, {"bob", "b0b", nil}, {"bob", "b0b ", authn.ErrWrong}, {"bob", "", authn.ErrWrong}, {"eve", "3ve", nil}, {"eve", "b0b", authn.ErrWrong},
		{"joe", "j0e", nil}, {"joe", "J0e", authn.ErrWrong}, {"Bob", "b0b", authn.ErrOther}, {"ann", "b0b", authn.ErrOther}, {"", "", authn.ErrOther},
		{"long", long, nil}, {"long", long + "y", authn.ErrWrong}, {"spec", "Hello world!", nil}, {"spec", "Hello world", authn.ErrWrong}, {"spec6", "Hello world!", nil},
	} {
		id, err := w.Check(t.Context(), c.name, c.password)
		if !errors.Is(err, c.err) || (err == nil) != (id.Name == c.name && id.Way == access.Htpasswd) {
			t.Errorf("%s, %s: %+v %v, want %v", c.name, c.password, id, err, c.err)
		}
	}
}

// TestRefused: every mistake of a file is named with its line, and no hash is shown.
func TestRefused(t *testing.T) {
	good := bcrypted(t, "p", 4)
	for text, want := range map[string]string{
		"bob":                                    "line 1: has no colon",
		":" + good:                               "line 1: has no name",
		"bob:" + good + "\nbob:" + good:          `line 2: user "bob" is there twice`,
		"bob:{SHA}5en6G6MezRroT3XKqkdPOmY":       `line 1: user "bob": hash type {SHA} not allowed`,
		"bob:$apr1$salt$hash":                    "$apr1$ (MD5) not allowed",
		"bob:plaintext":                          "plain or unknown not allowed",
		"bob:$2y$15$" + good[7:]:                 "a cost of 15",
		"bob:$2y$05$short":                       "damaged",
		"bob:$5$rounds=9999999$s$x":              "more than 1000000 rounds",
		"bob:$5$rounds=99999999999999999999$s$x": "more than 1000000 rounds",
		"bob:$6$":                                "damaged",
		"\xef\xbb\xbfbob:" + good:                "byte order mark",
		"b\x00b:" + good:                         "printable UTF-8",
		strings.Repeat("x", maxFileBytes+1):      "larger than 10 MiB",
		"a\nb:{SHA}secretsecret":                 "line 2",
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) && len(text) < 1000 {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
		for _, secret := range []string{"5en6G6", "plaintext", good[10:], "secretsecret"} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%.60q: the error shows %s", text, secret)
			}
		}
	}
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "nothing")} {
		if _, err := Open(path, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestChange: a user who is gone, or whose password is another, is refused once the file was looked at, also when the old password was remembered; a
// file that is damaged or gone changes nothing, and is told of once.
func TestChange(t *testing.T) {
	path := file(t, "bob:"+bcrypted(t, "1", 4), "eve:"+bcrypted(t, "1", 4))
	var text bytes.Buffer
	w, err := Open(path, slog.New(slog.NewTextHandler(&text, nil)))
	if err != nil {
		t.Fatal(err)
	}
	check := func(name, password string, want error) {
		t.Helper()
		if _, err := w.Check(t.Context(), name, password); !errors.Is(err, want) {
			t.Errorf("%s, %s: %v, want %v", name, password, err, want)
		}
	}
	check("bob", "1", nil)
	check("eve", "1", nil)
	before := w.Fingerprint("bob")
	write(t, path, "bob:"+bcrypted(t, "2", 4))
	if err := w.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("bob", "1", authn.ErrWrong)
	check("bob", "2", nil)
	check("eve", "1", authn.ErrOther)
	if now := w.Fingerprint("bob"); now == before || now == "" || w.Fingerprint("eve") != "" || now != open(t, path).Fingerprint("bob") {
		t.Errorf("bob's fingerprint was %s, is %s", before, now)
	}
	for range 3 {
		write(t, path, "bob")
		if err := w.Refresh(t.Context()); err == nil {
			t.Error("a damaged file was taken")
		}
	}
	check("bob", "2", nil)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := w.Refresh(t.Context()); err == nil {
		t.Error("a file that is gone was taken")
	}
	check("bob", "2", nil)
	if n := strings.Count(text.String(), "level=ERROR"); n != 1 {
		t.Errorf("it was told of %d times:\n%s", n, text.String())
	}
	write(t, path, "bob:"+bcrypted(t, "3", 4))
	if err := w.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	check("bob", "2", authn.ErrWrong)
	check("bob", "3", nil)
}

// TestSwappedLink: Kubernetes changes a mounted secret by setting a link to another directory.
func TestSwappedLink(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"1", "2"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "htpasswd"), "bob:"+bcrypted(t, version, 4))
	}
	data := filepath.Join(dir, "..data")
	point := func(to string) {
		if err := errors.Join(os.Symlink(to, data+".new"), os.Rename(data+".new", data)); err != nil {
			t.Fatal(err)
		}
	}
	point("1")
	w := open(t, filepath.Join(data, "htpasswd"))
	point("2")
	if err := w.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Check(t.Context(), "bob", "2"); err != nil {
		t.Error(err)
	}
	if _, err := w.Check(t.Context(), "bob", "1"); !errors.Is(err, authn.ErrWrong) {
		t.Error(err)
	}
}

// TestTogether: many requests with one right password cost one comparison; and a change of the file in their midst is seen by all that come later.
func TestTogether(t *testing.T) {
	path := file(t, "bob:"+bcrypted(t, "1", 10))
	w := open(t, path)
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			if _, err := w.Check(t.Context(), "bob", "1"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if _, known := w.Known("bob", "1"); !known {
		t.Error("it is not remembered")
	}
}

// TestStrangersCost: a name that is not in the file is compared with a hash of the file, always the same.
func TestStrangersCost(t *testing.T) {
	w := open(t, file(t, "bob:"+bcrypted(t, "1", 4), "eve:"+bcrypted(t, "1", 5), "joe:"+bcrypted(t, "1", 6)))
	met := map[string]bool{}
	for i := range 100 {
		name := fmt.Sprint("stranger", i)
		h, known := w.hashOf(name)
		again, _ := w.hashOf(name)
		if known || h.text == "" || h.text != again.text {
			t.Fatalf("%s: %v %q %q", name, known, h.text, again.text)
		}
		met[h.text] = true
		if _, err := w.Check(t.Context(), name, "1"); !errors.Is(err, authn.ErrOther) {
			t.Errorf("%s with the password of the others: %v", name, err)
		}
	}
	if len(met) != 3 {
		t.Errorf("strangers look like %d of 3 users", len(met))
	}
}

func FuzzHtpasswd(f *testing.F) {
	f.Add([]byte("bob:$2y$05$abcdefghijklmnopqrstuuJ6v8r8yXQ0bV1d0dZ4zvVzC2o8n4a5W\n# c\n\neve:$5$rounds=1000$s$x"))
	f.Add([]byte("a:$6$salt$" + strings.Repeat("x", 86)))
	f.Fuzz(func(t *testing.T, text []byte) {
		u, _, err := parse(text)
		if err != nil {
			return
		}
		for _, name := range u.names {
			if h := u.hashes[name]; h.text == "" || strings.ContainsAny(name, ":\n") || name == "" {
				t.Errorf("user %q with %q", name, h.text)
			}
		}
	})
}

var _ authn.Passwords = (*Way)(nil)

func BenchmarkKnown(b *testing.B) {
	w := open(b, file(b, "bob:"+bcrypted(b, "1", 4)))
	if _, err := w.Check(context.Background(), "bob", "1"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, ok := w.Known("bob", "1"); !ok {
			b.Fatal("not known")
		}
	}
}
