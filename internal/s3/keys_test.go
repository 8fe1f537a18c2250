package s3

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
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
