package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode"

	"holdfast/internal/access"
	"holdfast/internal/audit"
	"holdfast/internal/observe/request"
	"holdfast/internal/oci"
)

func opened(t *testing.T) (*audit.Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	l, err := audit.Open(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, path
}

func lines(t *testing.T, path string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for one := range strings.Lines(string(text)) {
		var m map[string]any
		if err := json.Unmarshal([]byte(one), &m); err != nil {
			t.Fatalf("%v: %q", err, one)
		}
		all = append(all, m)
	}
	return all
}

// serve serves a request as the server does, with the log as an observer.
func serve(l *audit.Log, r *http.Request, route request.Route, h http.HandlerFunc) {
	cfg := request.Config{Route: func(*http.Request) request.Route { return route }, Observers: []request.Observer{l}}
	request.Handler(h, cfg, slog.New(slog.DiscardHandler)).ServeHTTP(httptest.NewRecorder(), r)
}

func answer(status int, err error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		request.Fail(r.Context(), err)
		w.WriteHeader(status)
	}
}

const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestLine(t *testing.T) {
	l, path := opened(t)
	r := httptest.NewRequestWithContext(t.Context(), "PUT", "/v2/team/app/manifests/v1?x=canary", strings.NewReader("12345"))
	r.Header.Set("Authorization", "Basic canary")
	r.Header.Set("Cookie", "canary")
	r.Header.Set("X-Request-Id", "r-1")
	r.Header.Set("User-Agent", "podman/5\x7f\u009b\u202e")
	serve(l, r, request.Route{Name: "manifest", Repository: "team/app", Path: "/v2/team/app/manifests/v1"}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		audit.Note(r.Context(), &access.Request{
			Identity: access.Identity{Name: "ann\n{\"x\":1}", Groups: []string{"dev"}, Way: access.LDAP, Claims: map[string]any{"secret": "canary"}},
			Client:   netip.MustParseAddr("10.1.2.3"),
		})
		audit.Act(r.Context(), access.Update)
		w.Header().Set("Docker-Content-Digest", digest)
		w.WriteHeader(http.StatusCreated)
	})
	all := lines(t, path)
	if len(all) != 1 {
		t.Fatalf("%d lines", len(all))
	}
	for key, want := range map[string]any{
		"log": "audit", "event": "request", "outcome": "done", "user": "ann\n{\"x\":1}", "way": "ldap", "client": "10.1.2.3", "method": "PUT", "route": "manifest", "action": "update",
		"repository": "team/app", "reference": "v1", "digest": digest, "status": 201.0, "bytes_in": 5.0, "request": "r-1",
	} {
		if all[0][key] != want {
			t.Errorf("%s is %v, want %v", key, all[0][key], want)
		}
	}
	text, _ := os.ReadFile(path)
	if bytes.Contains(text, []byte("canary")) {
		t.Errorf("a secret: %s", text)
	}
	if i := bytes.IndexFunc(bytes.TrimSuffix(text, []byte("\n")), func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }); i >= 0 {
		t.Errorf("a control character at %d: %q", i, text)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// TestWhich: each write and each denial has a line, and nothing else has.
func TestWhich(t *testing.T) {
	for _, row := range []struct {
		name, method string
		credentials  bool
		status       int
		err          error
		outcome      string // "": no line
		code         string
	}{
		{"a pull", "GET", true, 200, nil, "", ""},
		{"what is not there", "GET", true, 404, oci.ErrManifestUnknown, "", ""},
		{"the challenge that clients begin with", "GET", false, 401, oci.Errorf(oci.Unauthorized, "x"), "", ""},
		{"wrong credentials", "GET", true, 401, oci.Errorf(oci.Unauthorized, "x"), "denied", "UNAUTHORIZED"},
		{"a read that is denied", "HEAD", true, 403, oci.ErrDenied, "denied", "DENIED"},
		{"too many", "GET", true, 429, oci.Errorf(oci.TooManyRequests, "x"), "denied", "TOOMANYREQUESTS"},
		{"a write", "POST", true, 202, nil, "done", ""},
		{"a write without credentials", "POST", false, 401, oci.Errorf(oci.Unauthorized, "x"), "denied", "UNAUTHORIZED"},
		{"a write that fails", "PATCH", true, 416, oci.Errorf(oci.BlobUploadInvalid, "x"), "failed", "BLOB_UPLOAD_INVALID"},
		{"several errors", "PUT", true, 404, oci.Errors{oci.Errorf(oci.ManifestBlobUnknown, "x")}, "failed", "MANIFEST_BLOB_UNKNOWN"},
		{"a fault of ours", "DELETE", true, 503, errors.New("the store is gone"), "failed", ""},
		{"a word that is no method", "canary", true, 405, nil, "failed", ""},
	} {
		l, path := opened(t)
		r := httptest.NewRequestWithContext(t.Context(), row.method, "/v2/a/blobs/x", http.NoBody)
		if row.credentials {
			r.Header.Set("Authorization", "Basic x")
		}
		serve(l, r, request.Route{Name: "blob", Repository: "a", Path: "/v2/a/blobs/x"}, answer(row.status, row.err))
		all := lines(t, path)
		if row.outcome == "" {
			if len(all) != 0 {
				t.Errorf("%s: %v", row.name, all)
			}
			continue
		}
		if len(all) != 1 || all[0]["outcome"] != row.outcome || row.code != "" && all[0]["code"] != row.code || row.code == "" && all[0]["code"] != nil {
			t.Errorf("%s: %v", row.name, all)
		}
		if method, _ := all[0]["method"].(string); method == "canary" {
			t.Errorf("%s: a client's word is the method", row.name)
		}
	}
}

func TestUploads(t *testing.T) {
	l, path := opened(t)
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/v2/a/blobs/uploads/?mount="+digest+"&from=b/c&x=canary", http.NoBody)
	serve(l, r, request.Route{Name: "uploads", Repository: "a", Path: "/v2/a/blobs/uploads/"}, answer(202, nil))
	r = httptest.NewRequestWithContext(t.Context(), "PUT", "/v2/a/blobs/uploads/canary?digest=canary", http.NoBody)
	serve(l, r, request.Route{Name: "upload", Repository: "a", Path: "/v2/a/blobs/uploads/short…"}, answer(400, nil))
	all := lines(t, path)
	if len(all) != 2 || all[0]["digest"] != digest || all[0]["from"] != "b/c" || all[1]["digest"] != nil {
		t.Errorf("%v", all)
	}
	if text, _ := os.ReadFile(path); bytes.Contains(text, []byte("canary")) {
		t.Errorf("a secret: %s", text)
	}
}

func TestEvents(t *testing.T) {
	l, path := opened(t)
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/token", http.NoBody)
	serve(l, r, request.Route{Name: "token", Path: "/token"}, func(w http.ResponseWriter, r *http.Request) {
		audit.Claim(r.Context(), "mallory")
		audit.Tell(r.Context(), audit.Event{What: "token issued", Outcome: audit.Done, Target: "t-17", User: "ann", Way: access.Htpasswd})
	})
	l.Tell(context.Background(), audit.Event{What: "gc", Outcome: audit.Failed, Target: "/"})
	audit.Tell(t.Context(), audit.Event{What: "nobody listens"})
	var none *audit.Log
	none.Tell(t.Context(), audit.Event{What: "nobody listens"})
	all := lines(t, path)
	if len(all) != 2 || all[0]["event"] != "token issued" || all[0]["user"] != "ann" || all[0]["target"] != "t-17" || all[0]["client"] != "192.0.2.1" ||
		all[0]["claimed"] != "mallory" || all[0]["request"] == nil || all[1]["event"] != "gc" || all[1]["outcome"] != "failed" {
		t.Errorf("%v", all)
	}
}

// TestBounds: whatever a client sends, its line stays short.
func TestBounds(t *testing.T) {
	l, path := opened(t)
	long := strings.Repeat("\x01é\u202e", 20000)
	r := httptest.NewRequestWithContext(t.Context(), "PUT", "/x", http.NoBody)
	r.Header["User-Agent"] = []string{long}
	groups := make([]string, 1000)
	for i := range groups {
		groups[i] = long
	}
	serve(l, r, request.Route{Name: "manifest", Path: "/v2/" + long}, func(w http.ResponseWriter, r *http.Request) {
		audit.Note(r.Context(), &access.Request{Identity: access.Identity{Name: long, Groups: groups, Way: access.Bearer}})
		audit.Claim(r.Context(), long)
	})
	text, _ := os.ReadFile(path)
	if len(text) == 0 || len(text) > 20<<10 || bytes.Count(text, []byte("\n")) != 1 {
		t.Errorf("%d bytes, %d lines", len(text), bytes.Count(text, []byte("\n")))
	}
	lines(t, path)
}

// TestReopen: logrotate moves the file away and has it opened anew; no line is lost, and none is torn, whoever writes meanwhile.
func TestReopen(t *testing.T) {
	l, path := opened(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				l.Tell(context.Background(), audit.Event{What: "x"})
			}
		})
	}
	moved := 0
	for i := range 5 {
		if err := os.Rename(path, path+"."+string(rune('a'+i))); err != nil {
			t.Fatal(err)
		}
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	for i := range 5 {
		moved += len(lines(t, path+"."+string(rune('a'+i))))
	}
	if n := moved + len(lines(t, path)); n != 800 || l.Lines() != 800 || l.Lost() != 0 {
		t.Errorf("%d lines, counted %d and %d lost", n, l.Lines(), l.Lost())
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err == nil {
		t.Error("a file in a directory that is gone was opened")
	}
	l.Tell(context.Background(), audit.Event{What: "x"})
	if l.Lost() != 0 {
		t.Error("the file before is not written on")
	}
}

// TestFull: on a full disk lines are lost and counted, told of once, and no request notices.
func TestFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	var text bytes.Buffer
	l, err := audit.Open("/dev/full", slog.New(slog.NewJSONHandler(&text, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		served := false
		serve(l, httptest.NewRequestWithContext(t.Context(), "PUT", "/x", http.NoBody), request.Route{}, func(http.ResponseWriter, *http.Request) { served = true })
		if !served {
			t.Error("not served")
		}
	}
	if l.Lost() != 3 || l.Lines() != 0 || strings.Count(text.String(), "are lost") != 1 {
		t.Errorf("%d lost, %d written, %s", l.Lost(), l.Lines(), text.String())
	}
}

// FuzzLine: any text of a client is one line of JSON without a control character.
func FuzzLine(f *testing.F) {
	f.Add("ann", "curl", "/v2/a/manifests/v1", "digest=x")
	f.Add("\x00\xff\u2028", "\x7f\u0085", "/v2/\u202e", "a=%zz;b")
	f.Fuzz(func(t *testing.T, user, agent, path, query string) {
		l, file := opened(t)
		r := httptest.NewRequestWithContext(t.Context(), "PUT", "/", http.NoBody)
		r.URL.RawQuery = query
		r.Header["User-Agent"] = []string{agent}
		serve(l, r, request.Route{Name: "upload", Path: path}, func(w http.ResponseWriter, r *http.Request) {
			audit.Note(r.Context(), &access.Request{Identity: access.Identity{Name: user, Way: access.Token}})
		})
		text, err := os.ReadFile(file)
		if err != nil || len(text) > 20<<10 || !json.Valid(text) || bytes.Count(text, []byte("\n")) != 1 {
			t.Fatalf("%v %q", err, text)
		}
		if bytes.IndexFunc(text[:len(text)-1], unicode.IsControl) >= 0 {
			t.Errorf("%q", text)
		}
	})
}
