package s3

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Keys that are changed sign the next request, of the client and of its racers.
func TestSetKeys(t *testing.T) {
	var signer string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := regexp.MustCompile(`Credential=([^/]+)/`).FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
			signer = m[1] + " " + r.Header.Get("X-Amz-Security-Token")
		}
		_, _ = io.WriteString(w, "value")
	}))
	defer server.Close()
	log := slog.New(slog.DiscardHandler)
	c, err := New(t.Context(), Config{Endpoint: server.URL, Bucket: "b", AccessKey: "old", SecretKey: "s"}, log)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	racer := c.Racer(0)
	defer racer.Close()
	ask := func(c *Client, want string) {
		t.Helper()
		_, _, _ = c.GetValue(t.Context(), "key", 100)
		if signer != want {
			t.Errorf("signed by %q, want %q", signer, want)
		}
	}
	ask(c, "old ")
	if !c.SetKeys("new", "t", "token") {
		t.Error("keys of the configuration cannot be changed")
	}
	ask(c, "new token")
	ask(racer, "new token")
	chain, err := New(t.Context(), Config{Endpoint: server.URL, Bucket: "b"}, log)
	if err != nil {
		t.Fatal(err)
	}
	if chain.SetKeys("new", "t", "") {
		t.Error("the SDK's chain is overruled")
	}
}

// Another secret of the same access key signs the next request, whether the SDK makes it or we do.
func TestSetSecret(t *testing.T) {
	var seen *http.Request
	c := fakeClient(t, func(r *http.Request) (*http.Response, error) {
		seen = r
		return reply(200, "<ListBucketResult/>"), nil
	})
	for _, secret := range []Secret{"s", "another", "s"} {
		c.SetKeys("a", secret, "")
		for name, ask := range map[string]func(){
			"get":  func() { _, _, _ = c.GetValue(t.Context(), "key", 100) },
			"list": func() { c.List(t.Context(), "p/", "")(func(Item, error) bool { return false }) },
		} {
			ask()
			got, again := seen.Header.Get("Authorization"), seen.Clone(t.Context())
			if !strings.Contains(got, "accept-encoding") {
				again.Header.Del("Accept-Encoding")
			}
			at, err := time.Parse(amzDate, seen.Header.Get("X-Amz-Date"))
			if err != nil {
				t.Fatal(err)
			}
			err = v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }).SignHTTP(
				t.Context(), aws.Credentials{AccessKeyID: "a", SecretAccessKey: string(secret)}, again, seen.Header.Get("X-Amz-Content-Sha256"), "s3", "us-east-1", at)
			if want := again.Header.Get("Authorization"); err != nil || got != want {
				t.Errorf("%s with the secret %q: %s, want %s (%v)", name, string(secret), got, want, err)
			}
		}
	}
}
