package oidc_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/workload"
	"holdfast/test/ports"
	"holdfast/test/provider"
)

// start runs the provider, and returns its URL.
func start(t *testing.T) string {
	t.Helper()
	_, dir, err := provider.Installed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found, err := ports.Free(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	port := found[0]
	script, err := filepath.Abs("provider.mjs")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", script, fmt.Sprint(port))
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // the test's context has ended it
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ready" {
			return fmt.Sprintf("http://127.0.0.1:%d", port)
		}
	}
	t.Fatal("the provider has ended")
	return ""
}

func post(t *testing.T, url string, form url.Values) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("ci", "secret")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var body json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&body); resp.StatusCode != http.StatusOK || err != nil && len(form) > 0 {
		t.Fatalf("%s: %d %s %v", url, resp.StatusCode, body, err)
	}
	return body
}

// token is one that the provider gives for a resource.
func token(t *testing.T, issuer, resource string) string {
	t.Helper()
	var out struct {
		Token string `json:"access_token"`
	}
	body := post(t, issuer+"/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"registry"}, "resource": {resource}})
	if err := json.Unmarshal(body, &out); err != nil || strings.Count(out.Token, ".") != 2 {
		t.Fatalf("%s: %v", body, err)
	}
	return out.Token
}

// TestProvider: tokens of a real provider, signed by each kind of key; one for somebody else; and keys that it has replaced.
func TestProvider(t *testing.T) {
	issuer := start(t)
	s, err := workload.New(workload.Config{
		Issuers: []workload.Issuer{{
			URL: issuer, Audiences: []string{"urn:registry"},
			Mapping: workload.Mapping{
				Variables:   []workload.Variable{{Name: "repo", Expression: "claims.repository.split('/')"}},
				Validations: []workload.Validation{{Expression: "vars.repo[0] == 'acme'", Message: "not of acme"}},
				Username:    "claims.client_id + '-' + vars.repo[1]", Groups: "claims.teams",
			},
		}},
		Compile: workload.CEL, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []string{"", "ES256", "PS256", "RS256"} {
		if alg != "" {
			_ = post(t, issuer+"/rotate/"+alg, nil)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		id, err := s.Verify(ctx, token(t, issuer, "urn:registry"))
		cancel()
		if err != nil || id.Name != "ci-app" || strings.Join(id.Groups, " ") != "dev ops" || id.Way != access.Workload {
			t.Errorf("%s: %+v, %v", alg, id, err)
		}
		if _, err := s.Verify(t.Context(), token(t, issuer, "urn:other")); !errors.Is(err, authn.ErrWrong) {
			t.Errorf("%s, for somebody else: %v", alg, err)
		}
	}
}
