package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/api"
	"holdfast/internal/data"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/observe/request"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

// An exchange is one request and the answer that it must get. {location} in Do and Header is the Location
// of the exchange before it.
type exchange struct {
	name    string     // the outcome
	given   []exchange // made before, in order; what they do not ask for, they must not fail
	do      string     // method and target, as they stand in a request line
	header  []string   // "Name: value"
	body    string
	chunked bool // the body comes without a Content-Length

	status int      // 0 is any below 400
	code   string   // of every error; "" for answers below 400
	says   string   // a part of some error's message or detail
	heads  []string // "Name: value", "Name:" (there, whatever it is) or "!Name" (not there)
	text   *string  // the exact body
}

// exactly is a body to compare with, also the empty one.
func exactly(s string) *string { return &s }

// site is a handler over stores of its own.
type site struct {
	*testing.T
	handler  http.Handler
	registry *registry.Local
	log      *bytes.Buffer // not to be read while a request is under way
	location string
	redirect bool // blobs are answered by URLs of another host
}

// options are what a test has different from a plain registry. The zero value has nothing different.
type options struct {
	config   api.Config
	registry registry.Config
	records  func(record.Store) record.Store
	segments func(data.Store) data.Store
	wrap     func(registry.Registry) registry.Registry
}

// open returns a registry with the content of content_test.go.
func open(t *testing.T, o options) *site {
	t.Helper()
	var records record.Store = recordmem.New(recordmem.Config{})
	var segments data.Store = datamem.New(datamem.Config{})
	if o.records != nil {
		records = o.records(records)
	}
	if o.segments != nil {
		segments = o.segments(segments)
	}
	s := &site{T: t, log: &bytes.Buffer{}, redirect: o.registry.Redirects != nil}
	log := slog.New(request.Logs(slog.NewTextHandler(s.log, nil)))
	local, err := registry.New(t.Context(), records, segments, o.registry, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(local.Close)
	s.registry = local
	seed(t, local)
	var r registry.Registry = local
	if o.wrap != nil {
		r = o.wrap(r)
	}
	s.handler = request.Handler(api.New(r, o.config), request.Config{Route: api.RouteOf}, log)
	return s
}

// run makes each exchange against a registry of its own.
func run(t *testing.T, o options, table []exchange) {
	t.Helper()
	for _, x := range table {
		if x.name == "" {
			x.name = x.do
		}
		t.Run(x.name, func(t *testing.T) { open(t, o).exchange(x) })
	}
}

func (s *site) exchange(x exchange) *httptest.ResponseRecorder {
	s.Helper()
	for _, before := range x.given {
		s.exchange(before)
	}
	answer := s.answer(s.request(x))
	what := x.do
	if x.status == 0 && answer.Code >= 400 || x.status != 0 && answer.Code != x.status {
		s.Fatalf("%s: status %d, want %d: %s", what, answer.Code, x.status, answer.Body)
	}
	for _, head := range x.heads {
		if problem := headProblem(strings.ReplaceAll(head, "{location}", s.location), answer.Header()); problem != "" {
			s.Errorf("%s: %s", what, problem)
		}
	}
	if x.text != nil && answer.Body.String() != *x.text {
		s.Errorf("%s: body %q, want %q", what, answer.Body, *x.text)
	}
	if answer.Code >= 400 && answer.Body.Len() > 0 {
		said := false
		for _, e := range errorsOf(answer.Body.Bytes()) {
			if x.code != "" && e.Code != x.code {
				s.Errorf("%s: code %s, want %s: %s", what, e.Code, x.code, answer.Body)
			}
			said = said || strings.Contains(e.Message+" "+string(e.Detail), x.says)
		}
		if !said {
			s.Errorf("%s: nothing says %q: %s", what, x.says, answer.Body)
		}
	}
	if l := answer.Header().Get("Location"); l != "" {
		s.location = l
	}
	return answer
}

func (s *site) request(x exchange) *http.Request {
	method, target, _ := strings.Cut(strings.ReplaceAll(x.do, "{location}", s.location), " ")
	var body io.Reader
	if x.body != "" {
		body = strings.NewReader(x.body)
	}
	r := httptest.NewRequestWithContext(s.Context(), method, target, body)
	if x.chunked {
		r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
	}
	for _, line := range x.header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// answer makes a request and checks what every answer must be. Status -1 is an answer that broke off.
func (s *site) answer(r *http.Request) (answer *httptest.ResponseRecorder) {
	s.Helper()
	answer = httptest.NewRecorder()
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			answer.Code = -1
			return
		}
		for _, problem := range problems(r, answer, s.redirect) {
			s.Errorf("%s %s: %d: %s", r.Method, r.URL.EscapedPath(), answer.Code, problem)
		}
	}()
	s.handler.ServeHTTP(answer, r)
	return answer
}

// specCodes are the error codes of the spec, "Error Codes": the only ones of a 4xx.
var specCodes = []string{
	"BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
	"MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED",
	"DENIED", "UNSUPPORTED", "TOOMANYREQUESTS",
}

// leaks are traces of what stands behind the API. canary is in every error of a store that fails (A45).
var leaks = []string{canary, "mem: ", "goroutine ", ".go:", "panic", "holdfast/", "x-amz"}

// problems checks the answer contract: what holds for every answer, whatever was asked.
func problems(r *http.Request, answer *httptest.ResponseRecorder, redirect bool) (found []string) {
	report := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	h, body := answer.Header(), answer.Body.Bytes()
	for _, head := range []string{"X-Content-Type-Options: nosniff", "X-Request-Id:", "Cache-Control:", "Docker-Distribution-Api-Version: registry/2.0",
		"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; sandbox", "!Access-Control-Allow-Origin", "!Server"} {
		if problem := headProblem(head, h); problem != "" {
			report("%s", problem)
		}
	}
	if l := h.Get("Location"); l != "" && !redirect && (!strings.HasPrefix(l, "/v2/") || strings.ContainsAny(l, "\r\n\\")) {
		report("Location %q is not a path of the API", l)
	}
	if r.Method == http.MethodHead && len(body) > 0 {
		report("a HEAD is answered by %d bytes", len(body))
	}
	if n := h.Get("Content-Length"); n != "" && r.Method != http.MethodHead && n != fmt.Sprint(len(body)) {
		report("Content-Length %s of %d bytes", n, len(body))
	}
	if retry := h.Get("Retry-After") != ""; retry != (answer.Code == http.StatusServiceUnavailable || answer.Code == http.StatusTooManyRequests) {
		report("Retry-After: %t", retry)
	}
	told := fmt.Sprint(h)
	if answer.Code >= 400 {
		told += string(body)
	}
	for _, leak := range leaks {
		if strings.Contains(strings.ToLower(told), leak) {
			report("the answer tells %q: %s", leak, told)
		}
	}
	if answer.Code < 400 {
		return found
	}
	if problem := headProblem("Content-Type: application/json", h); problem != "" {
		report("%s", problem)
	}
	if r.Method == http.MethodHead {
		return found
	}
	entries := errorsOf(body)
	if len(entries) == 0 {
		report("the body holds no errors: %q", body)
	}
	for _, e := range entries {
		ours := e.Code == "UNAVAILABLE" || e.Code == "UNKNOWN"
		if answer.Code >= 500 && !ours || answer.Code < 500 && !slices.Contains(specCodes, e.Code) {
			report("the code %q has no place in a %d", e.Code, answer.Code)
		}
		if e.Message == "" {
			report("the error %s has no message", e.Code)
		}
	}
	return found
}

type errorEntry struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Detail  json.RawMessage `json:"detail"`
}

// errorsOf are the errors of a body; none when it has another form than the spec's.
func errorsOf(body []byte) []errorEntry {
	var form struct {
		Errors []errorEntry `json:"errors"`
	}
	if json.Unmarshal(body, &form) != nil {
		return nil
	}
	return form.Errors
}

// headProblem checks one of exchange.heads.
func headProblem(head string, got http.Header) string {
	if name, absent := strings.CutPrefix(head, "!"); absent {
		if v := got.Values(name); len(v) > 0 {
			return fmt.Sprintf("header %s is %q, want none", name, v)
		}
		return ""
	}
	name, value, _ := strings.Cut(head, ":")
	value = strings.TrimSpace(value)
	if have := strings.Join(got.Values(name), ", "); have == "" || value != "" && have != value {
		return fmt.Sprintf("header %s is %q, want %q", name, have, value)
	}
	return ""
}
