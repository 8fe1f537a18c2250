//go:build zot

package policy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/access/policy"
)

// hash is of the password p, as crypt(3) makes it with SHA-256.
const hash = `$5$holdfast$SLiB.I6r1nggQeGGhsYxdg9.MjQhONElNUUXS3iQaL6`

// TestTableIsZots asks zot itself, whose binary ZOT names, what the table says: each cell is four requests that change nothing. zot learns of users from htpasswd
// alone, so that those with groups or claims of elsewhere are left out, and it has no TLS.
func TestTableIsZots(t *testing.T) {
	binary := os.Getenv("ZOT")
	if binary == "" {
		t.Fatal("ZOT is to name a binary of zot")
	}
	asked := 0
	for _, tt := range table {
		t.Run(tt.name, func(t *testing.T) {
			var repositories []string
			rows(t, tt.want, func(_, where, _ string) {
				if !slices.Contains(repositories, where) {
					repositories = append(repositories, where)
				}
			})
			seeded := t.TempDir()
			open := startZot(t, binary, seeded, policy.Config{})
			for _, where := range repositories {
				open.seed(where)
			}
			open.stop()
			empty, full := startZot(t, binary, t.TempDir(), tt.rules), startZot(t, binary, seeded, tt.rules)
			rows(t, tt.want, func(name, where, want string) {
				if name == "dora" || name == "ci" || where == "n" {
					return
				}
				asked++
				repository, tag := place(where)
				manifest := "/v2/" + repository + "/manifests/" + tag
				got := []byte("----")
				for i, ask := range []struct {
					zot    *zot
					method string
				}{{full, http.MethodGet}, {empty, http.MethodPut}, {full, http.MethodPut}, {empty, http.MethodDelete}} {
					if ask.zot.allows(name, ask.method, manifest) {
						got[i] = letters[i].letter
					}
				}
				if string(got) != want {
					t.Errorf("%s in %s: zot says %s, the table %s", name, where, got, want)
				}
			})
		})
	}
	t.Logf("%d cells", asked)
}

// place is the repository and the tag of a line of the table.
func place(where string) (repository, tag string) {
	repository, tag, found := strings.Cut(where, ":")
	if !found {
		tag = "zzz"
	}
	return repository, tag
}

type zot struct {
	*testing.T
	url  string
	stop func()
}

// startZot runs zot over a directory with rules, and with htpasswd where there are any.
func startZot(t *testing.T, binary, root string, rules policy.Config) *zot {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	web := map[string]any{"address": "127.0.0.1", "port": port}
	if rules.Given {
		var users bytes.Buffer
		for _, name := range []string{"alice", "bob", "carol", "olga", "root"} {
			fmt.Fprintf(&users, "%s:%s\n", name, hash)
		}
		path := filepath.Join(dir, "htpasswd")
		if err := os.WriteFile(path, users.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		web["auth"] = map[string]any{"htpasswd": map[string]any{"path": path}}
		web["accessControl"] = zotRules(rules)
	}
	text, err := json.Marshal(map[string]any{
		"distSpecVersion": "1.1.1", "storage": map[string]any{"rootDirectory": root, "gc": false, "dedupe": false}, "http": web, "log": map[string]any{"level": "error"},
	})
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "config.json")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, binary, "serve", config)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	z := &zot{T: t, url: "http://127.0.0.1:" + port, stop: func() {
		cancel()
		_ = cmd.Wait() // it was killed
	}}
	t.Cleanup(z.stop)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			_ = conn.Close()
			return z
		}
		if time.Now().After(deadline) {
			t.Fatalf("zot does not listen:\n%s", out.String())
		}
	}
}

// zotRules are rules in zot's format.
func zotRules(c policy.Config) map[string]any {
	rule := func(r policy.Rule) map[string]any {
		out := map[string]any{"users": r.Users, "groups": r.Groups, "actions": r.Actions}
		var conditions []map[string]any
		for _, c := range r.Conditions {
			conditions = append(conditions, map[string]any{"expression": c.Expression, "message": c.Message})
		}
		if conditions != nil {
			out["conditions"] = conditions
		}
		return out
	}
	repositories := map[string]any{}
	for glob, r := range c.Repositories {
		policies := []map[string]any{}
		for _, p := range r.Policies {
			policies = append(policies, rule(p))
		}
		repositories[glob] = map[string]any{"policies": policies, "defaultPolicy": r.Default, "anonymousPolicy": r.Anonymous}
	}
	groups := map[string]any{}
	for name, users := range c.Groups {
		groups[name] = map[string]any{"users": users}
	}
	return map[string]any{"repositories": repositories, "groups": groups, "adminPolicy": rule(c.Admin)}
}

func (z *zot) do(name, method, path, contentType string, body []byte) int {
	z.Helper()
	r, err := http.NewRequestWithContext(z.Context(), method, z.url+path, bytes.NewReader(body))
	if err != nil {
		z.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	if name != "-" {
		r.SetBasicAuth(name, "p")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		z.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	if err := resp.Body.Close(); err != nil {
		z.Error(err)
	}
	return resp.StatusCode
}

// allows reports whether a request passes zot's rules. What it asks for is not there, or is no manifest.
func (z *zot) allows(name, method, path string) bool {
	z.Helper()
	switch status := z.do(name, method, path, "application/vnd.oci.image.manifest.v1+json", []byte("no manifest")); status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return false
	case http.StatusOK, http.StatusBadRequest, http.StatusNotFound:
		return true
	default:
		z.Fatalf("%s %s by %s: %d", method, path, name, status)
		return false
	}
}

// seed pushes an image to a tag.
func (z *zot) seed(where string) {
	z.Helper()
	repository, tag := place(where)
	config := []byte("{}")
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(config))
	if status := z.do("-", http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+digest, "application/octet-stream", config); status != http.StatusCreated {
		z.Fatalf("push a blob to %s: %d", repository, status)
	}
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2}]}`, digest, digest)
	if status := z.do("-", http.MethodPut, "/v2/"+repository+"/manifests/"+tag, "application/vnd.oci.image.manifest.v1+json", manifest); status != http.StatusCreated {
		z.Fatalf("push %s: %d", where, status)
	}
}
