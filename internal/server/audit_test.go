package server

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAudit: the server writes the log: of clients, of its operator, and of commands; it opens the file anew with the configuration; and no token is in it.
func TestAudit(t *testing.T) {
	h := inMemory(t, Storage{Collect: Collection{Enabled: true}})
	path := filepath.Join(t.TempDir(), "audit.log")
	h.s.cfg.Observe.Audit = path
	if err := h.s.openAudit(); err != nil {
		t.Fatal(err)
	}
	token := h.token(time.Minute)
	h.ask(t.Context(), nil, http.MethodGet, "/v2/", "", "")
	h.ask(t.Context(), nil, http.MethodGet, "/readyz", token, "")
	h.ask(t.Context(), nil, http.MethodDelete, "/v2/a/manifests/latest", "", "")
	h.ask(t.Context(), nil, http.MethodPost, gcPath, token, "")
	h.ask(t.Context(), nil, http.MethodGet, gcPath, "Bearer canary", "")
	moved := path + ".1"
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	h.s.begin(t.Context())
	h.s.cfg.Host.Source.Load = func(context.Context) (Config, error) { return h.s.cfg, nil }
	h.s.again(t.Context(), "test")
	h.ask(t.Context(), nil, http.MethodPost, "/v2/a/blobs/uploads/", "", "")
	var got []string
	for _, file := range []string{moved, path} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "canary") || strings.Contains(string(text), strings.TrimPrefix(token, "Bearer ")) {
			t.Errorf("a token: %s", text)
		}
		for line := range strings.Lines(string(text)) {
			var one struct{ Event, Outcome, User, Method, Route, Code string }
			if err := json.Unmarshal([]byte(line), &one); err != nil {
				t.Fatal(err)
			}
			got = append(got, strings.Join([]string{filepath.Base(file), one.Event, one.Outcome, one.User, one.Method, one.Route, one.Code}, " "))
		}
	}
	want := []string{
		"audit.log.1 request failed  DELETE manifest MANIFEST_UNKNOWN",
		"audit.log.1 request done operator POST gc ",
		"audit.log.1 request denied  GET gc ",
		"audit.log request done  POST uploads ",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if text := h.scrape(); !strings.Contains(text, "holdfast_audit_lines_total 4") || !strings.Contains(text, "holdfast_audit_lost_total 0") {
		t.Error("the metrics do not count the lines")
	}
	h.s.closeAudit(t.Context())
}
