package spec

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// exchange plays x and checks its answer.
func (e *Env) exchange(x Exchange) *Answer {
	e.Helper()
	a := e.send(x)
	want := x.Want
	if e.target.Proxy && x.Proxy != nil {
		want = *x.Proxy
	}
	method, _, _ := strings.Cut(x.label(), " ")
	for _, problem := range e.problems(method, want, a) {
		e.Errorf("%s: %s\n  answer: %d %v\n  %s", e.text(x.label()), problem, a.Status, a.Header, clip(a.Body))
	}
	if e.Failed() {
		e.FailNow()
	}
	if want.Check != nil {
		want.Check(e, a)
	}
	if x.Save != "" {
		e.saveLocation(x.Save, a)
	}
	return a
}

func clip(b []byte) string {
	if len(b) > 600 {
		return string(b[:600]) + "..."
	}
	return string(b)
}

// problems compares an answer with what is wanted, and with what holds for every answer.
func (e *Env) problems(method string, want Want, a *Answer) (found []string) {
	e.Helper()
	report := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if a.Err != nil {
		report("the body breaks off: %v", a.Err)
	}
	if statuses := append([]int{want.Status}, want.Or...); !slices.Contains(statuses, a.Status) {
		report("status %d, want one of %v", a.Status, statuses)
	}
	for _, head := range want.Heads {
		if problem := headProblem(e.text(head), a.Header); problem != "" {
			report("%s", problem)
		}
	}
	if want.Exact != "" && string(a.Body) != e.text(want.Exact) {
		report("body differs, want %q", clip([]byte(e.text(want.Exact))))
	}
	if method == http.MethodHead && len(a.Body) != 0 {
		report("a HEAD is answered with a body")
	}
	if a.Status >= 400 && method != http.MethodHead && !want.Bare {
		want.Says = e.text(want.Says)
		for _, problem := range errorProblems(want, a) {
			report("%s", problem)
		}
	}
	for _, word := range append(e.target.Secret, leaks...) {
		if strings.Contains(strings.ToLower(fmt.Sprint(a.Header)), word) || a.Status >= 400 && strings.Contains(strings.ToLower(string(a.Body)), word) {
			report("the answer tells %q (A45)", word)
		}
	}
	return found
}

// leaks are traces of the machinery that no answer may show (A45).
var leaks = []string{"x-amz", "amazonaws", "goroutine ", ".go:", "operation error", "go1.", "holdfast/d/", "/tmp/"}

// headProblem checks one of Want.Heads.
func headProblem(head string, got http.Header) string {
	if name, absent := strings.CutPrefix(head, "!"); absent {
		if v := got.Values(name); len(v) > 0 {
			return fmt.Sprintf("header %s is %q, want none", name, v)
		}
		return ""
	}
	name, value, _ := strings.Cut(head, ":")
	value = strings.TrimSpace(value)
	if len(got.Values(name)) == 0 {
		return fmt.Sprintf("header %s is missing, want %q", name, value)
	}
	have := strings.Join(got.Values(name), ", ")
	if pattern, ok := strings.CutPrefix(value, "~"); ok {
		if !regexp.MustCompile(pattern).MatchString(have) {
			return fmt.Sprintf("header %s is %q, want a match of %s", name, have, pattern)
		}
		return ""
	}
	if value != "" && have != value {
		return fmt.Sprintf("header %s is %q, want %q", name, have, value)
	}
	return ""
}

// codes are the error codes of the spec, "Error Codes".
var codes = []string{
	"BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
	"MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED",
	"DENIED", "UNSUPPORTED", "TOOMANYREQUESTS",
}

type errorBody struct {
	Errors []struct {
		Code    string          `json:"code"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	} `json:"errors"`
}

// errorProblems checks that an answer of 400 or more is an error of the spec, the wanted one.
func errorProblems(want Want, a *Answer) (found []string) {
	if ct := a.Header.Get("Content-Type"); ct != "application/json" {
		found = append(found, fmt.Sprintf("Content-Type of an error is %q, want application/json", ct))
	}
	var body errorBody
	if err := json.Unmarshal(a.Body, &body); err != nil || len(body.Errors) == 0 {
		return append(found, fmt.Sprintf("the body is no list of errors (%v)", err))
	}
	said := false
	for _, one := range body.Errors {
		known := slices.Contains(codes, one.Code)
		if a.Status >= 500 {
			known = known || one.Code == "UNAVAILABLE" || one.Code == "UNKNOWN"
		}
		if !known {
			found = append(found, fmt.Sprintf("error code %q is not of the spec", one.Code))
		}
		if want.Code != "" && !slices.Contains(strings.Split(want.Code, "|"), one.Code) {
			found = append(found, fmt.Sprintf("error code %q, want %s", one.Code, want.Code))
		}
		if one.Message == "" {
			found = append(found, "an error has no message")
		}
		said = said || regexp.MustCompile("(?is)"+want.Says).MatchString(one.Message+" "+string(one.Detail))
	}
	if !said {
		found = append(found, fmt.Sprintf("no error says what must be said: %s", want.Says))
	}
	return found
}
