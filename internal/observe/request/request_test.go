package request_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"holdfast/internal/observe/request"
)

// note is an observer that keeps what it was told.
type note struct {
	trace string
	req   *request.Request
	got   []request.Outcome
}

type mark struct{}

func (n *note) Begin(ctx context.Context, req *request.Request, _ *http.Request) (context.Context, func(request.Outcome)) {
	n.req, req.Trace = req, n.trace
	return context.WithValue(ctx, mark{}, true), func(o request.Outcome) { n.got = append(n.got, o) }
}

// serve makes a request and returns the lines of the log, the outcome, and the answer.
func serve(t *testing.T, r *http.Request, level slog.Level, h http.HandlerFunc) ([]map[string]any, *note, *httptest.ResponseRecorder) {
	t.Helper()
	var text bytes.Buffer
	log := slog.New(request.Logs(slog.NewJSONHandler(&text, &slog.HandlerOptions{Level: slog.LevelInfo})))
	seen := &note{trace: "t1"}
	w := httptest.NewRecorder()
	func() {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a panic's value
				panic(p)
			}
		}()
		request.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Context().Value(mark{}) == nil {
				t.Error("the observer's context is not the one that the request is served with")
			}
			log.With("store", "s").InfoContext(r.Context(), "inner")
			h(w, r)
		}), request.Config{
			Route: func(r *http.Request) request.Route {
				return request.Route{Name: "blob", Repository: "a/b", Path: r.URL.EscapedPath(), Quiet: r.URL.Path == "/livez"}
			},
			Observers: []request.Observer{seen}, Level: level,
		}, log).ServeHTTP(w, r)
	}()
	var lines []map[string]any
	for line := range strings.Lines(text.String()) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, one)
	}
	if len(seen.got) != 1 {
		t.Fatalf("the end was told %d times", len(seen.got))
	}
	return lines, seen, w
}

func TestLine(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), "PUT", "/v2/a/b?_state=secret", strings.NewReader("12345"))
	r.Header.Set("Authorization", "Bearer secret")
	r.Header.Set("Cookie", "secret")
	r.Header.Set("X-Request-Id", "r-1")
	r.Header.Set("User-Agent", strings.Repeat("é", 500)+"secret\xff")
	lines, seen, w := serve(t, r, slog.LevelInfo, func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != "12345" {
			t.Errorf("%q %v", body, err)
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte("abc"))
	})
	if len(lines) != 2 || lines[0]["request"] != "r-1" || lines[0]["trace"] != "t1" || lines[0]["store"] != "s" {
		t.Fatalf("%v", lines)
	}
	line := lines[1]
	for key, want := range map[string]any{
		"level": "INFO", "msg": "request", "request": "r-1", "trace": "t1", "method": "PUT", "path": "/v2/a/b", "route": "blob", "repo": "a/b",
		"status": 201.0, "bytes": 3.0, "bytes_in": 5.0, "client": "192.0.2.1:1234",
	} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
	if took, ok := line["duration_ms"].(float64); !ok || took <= 0 {
		t.Errorf("duration_ms is %v", line["duration_ms"])
	}
	if agent, _ := line["user_agent"].(string); len(agent) > 140 || !strings.HasSuffix(agent, "é…") {
		t.Errorf("user_agent is %q", agent)
	}
	if text, _ := json.Marshal(lines); bytes.Contains(text, []byte("secret")) {
		t.Errorf("a secret is logged: %s", text)
	}
	if w.Header().Get("X-Request-Id") != "r-1" {
		t.Errorf("the answer's id is %q", w.Header().Get("X-Request-Id"))
	}
	if o := seen.got[0]; o.Status != 201 || o.In != 5 || o.Out != 3 || o.Took <= 0 || o.Cut || o.Fault || o.Code() != "201" {
		t.Errorf("%+v", o)
	}
}

func TestOutcomes(t *testing.T) {
	cause := errors.New("the store is gone")
	gone, leave := context.WithCancel(t.Context())
	for _, row := range []struct {
		name, path string
		ctx        context.Context
		level      slog.Level
		serve      http.HandlerFunc
		code       string
		status     int
		logged     string // level, "" for no line
	}{
		{"nothing written", "/a", t.Context(), slog.LevelInfo, func(http.ResponseWriter, *http.Request) {}, "200", 200, "INFO"},
		{"a client's mistake", "/a", t.Context(), slog.LevelInfo, func(w http.ResponseWriter, r *http.Request) {
			request.Fail(r.Context(), cause)
			w.WriteHeader(404)
		}, "404", 404, "INFO"},
		{"a fault", "/a", t.Context(), slog.LevelDebug, func(w http.ResponseWriter, r *http.Request) {
			request.Fail(r.Context(), cause)
			w.WriteHeader(503)
		}, "503", 503, "ERROR"},
		{"a race, explained", "/a", t.Context(), slog.LevelInfo, func(w http.ResponseWriter, r *http.Request) {
			request.Explain(r.Context(), cause)
			w.WriteHeader(503)
		}, "503", 503, "INFO"},
		{"requests at debug", "/a", t.Context(), slog.LevelDebug, func(http.ResponseWriter, *http.Request) {}, "200", 200, ""},
		{"requests at warn", "/a", t.Context(), slog.LevelWarn, func(http.ResponseWriter, *http.Request) {}, "200", 200, "WARN"},
		{"health", "/livez", t.Context(), slog.LevelInfo, func(http.ResponseWriter, *http.Request) {}, "200", 200, ""},
		{"broken off by us", "/a", t.Context(), slog.LevelInfo, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			request.Fail(r.Context(), cause)
			panic(http.ErrAbortHandler)
		}, "cut", 200, "ERROR"},
		{"the client leaves in the middle", "/a", gone, slog.LevelInfo, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			leave()
			request.Fail(r.Context(), cause)
			panic(http.ErrAbortHandler)
		}, "499", 200, "INFO"},
		{"the client left before", "/a", gone, slog.LevelInfo, func(_ http.ResponseWriter, r *http.Request) {
			request.Fail(r.Context(), cause)
			panic(http.ErrAbortHandler)
		}, "499", 499, "INFO"},
		{"broken off before an answer", "/a", t.Context(), slog.LevelInfo, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "cut", 500, "ERROR"},
	} {
		lines, seen, _ := serve(t, httptest.NewRequestWithContext(row.ctx, "GET", row.path, http.NoBody), row.level, row.serve)
		o := seen.got[0]
		if o.Status != row.status || o.Code() != row.code {
			t.Errorf("%s: %d, code %s", row.name, o.Status, o.Code())
		}
		level := ""
		if len(lines) > 1 {
			level, _ = lines[1]["level"].(string)
		}
		if level != row.logged {
			t.Errorf("%s: logged at %q, want %q: %v", row.name, level, row.logged, lines)
		}
	}
}

// TestNoRequest: what serves may be called without an edge.
func TestNoRequest(t *testing.T) {
	request.Fail(t.Context(), errors.New("x"))
	if request.From(t.Context()) != nil {
		t.Error("there is a request")
	}
}

// FuzzRequestID: the id of a request can stand in a header and in a log, whatever the client said.
func FuzzRequestID(f *testing.F) {
	for _, s := range []string{"", "a", "a b", "\r\n", strings.Repeat("a", 64), strings.Repeat("a", 65), "é"} {
		f.Add(s)
	}
	harmless := regexp.MustCompile(`^[0-9A-Za-z._:-]{1,64}$`)
	h := request.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		request.Config{Route: func(*http.Request) request.Route { return request.Route{} }}, slog.New(slog.DiscardHandler))
	f.Fuzz(func(t *testing.T, id string) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", http.NoBody)
		r.Header["X-Request-Id"] = []string{id}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Header().Get("X-Request-Id"); !harmless.MatchString(got) || harmless.MatchString(id) != (got == id) {
			t.Errorf("%q is made %q", id, got)
		}
	})
}
