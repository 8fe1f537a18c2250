package login

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
)

// secret is a Secrets of one process.
type secret string

func (s secret) MAC(domain string, fields ...[]byte) []byte {
	mac := hmac.New(sha256.New, []byte(s))
	for _, f := range append([][]byte{[]byte(domain)}, fields...) {
		_, _ = mac.Write(append([]byte{byte(len(f))}, f...))
	}
	return mac.Sum(nil)
}
func (s secret) Keys(domain string) [][]byte { return [][]byte{s.MAC(domain)} }
func (s secret) Verify(_ context.Context, mac []byte, domain string, fields ...[]byte) (bool, error) {
	return hmac.Equal(mac, s.MAC(domain, fields...)[:len(mac)]), nil
}

// TestBox: no byte of what was sealed can be changed, and none of it used for something else.
func TestBox(t *testing.T) {
	b := box{secret("a")}
	text, err := b.seal("one", "hello")
	if err != nil {
		t.Fatal(err)
	}
	open := func(b box, purpose, text string) bool {
		var got string
		opened, err := b.open(t.Context(), purpose, text, &got)
		if err != nil || opened != (got == "hello") {
			t.Fatal(opened, err, got)
		}
		return opened
	}
	if !open(b, "one", text) {
		t.Fatal("it does not open")
	}
	if open(b, "two", text) || open(box{secret("b")}, "one", text) || open(b, "one", text+"A") || open(b, "one", text[:len(text)-1]) || open(b, "one", "") {
		t.Error("it opens where it must not")
	}
	if again, _ := b.seal("one", "hello"); again == text {
		t.Error("two are equal")
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		if i > saltBytes && i < 1+saltBytes+tagBytes { // the tag only says which secret it is
			continue
		}
		changed := append([]byte(nil), raw...)
		changed[i] ^= 1
		if open(b, "one", base64.RawURLEncoding.EncodeToString(changed)) {
			t.Errorf("byte %d may be changed", i)
		}
	}
	if _, err := b.seal("one", strings.Repeat("a", 4000)); err == nil {
		t.Error("a cookie that no browser keeps")
	}
}

func FuzzOpen(f *testing.F) {
	b := box{secret("a")}
	text, err := b.seal("one", "hello")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{text, "", "AQ", text[:40], strings.Repeat("A", 80)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, other string) {
		var got string
		if opened, err := b.open(t.Context(), "one", other, &got); err != nil || opened && got != "hello" {
			t.Errorf("%q: %v %v %q", other, opened, err, got)
		}
	})
}

// FuzzBack: what is taken leads to a path of ours or to the origin that is allowed, as a browser sees it: it takes a backslash for a slash, and leaves out
// tabs, line feeds and what surrounds it.
func FuzzBack(f *testing.F) {
	for _, seed := range []string{"", "/", "/a?b#c", "//evil", `/\evil`, "https:evil", "https://ui.example.com/a", "https://ui.example.com@evil", "/\t/evil", "https://ui.example.com\\@evil", "/a\\..\\evil"} {
		f.Add(seed)
	}
	ours, err := url.Parse("https://registry.example.com/zot/auth/callback/oidc")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !checkBack(text, []string{"https://ui.example.com"}) || text == "" {
			return
		}
		browser := strings.ReplaceAll(strings.Trim(strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(text), " \x00"), `\`, "/")
		if scheme, rest, found := strings.Cut(browser, ":"); found && strings.HasPrefix(strings.ToLower(scheme), "http") {
			browser = scheme + "://" + strings.TrimLeft(rest, "/")
		}
		u, err := ours.Parse(browser)
		if err != nil {
			t.Fatalf("%q is taken, and is no URL: %v", text, err)
		}
		if host := strings.TrimSuffix(strings.ToLower(u.Host), ":443"); u.Scheme != "https" || host != "registry.example.com" && host != "ui.example.com" && host != "ui.example.com:" || u.User != nil {
			t.Errorf("%q leads to %s", text, u)
		}
	})
}
