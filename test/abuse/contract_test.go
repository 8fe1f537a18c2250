package abuse

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// codes are those of the spec, "Error Codes".
var codes = []string{
	"BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID", "MANIFEST_UNKNOWN",
	"NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED", "UNSUPPORTED", "TOOMANYREQUESTS",
}

// traces are words of the machinery that no answer may show (A45).
var traces = []string{
	"x-amz", "amazonaws", "goroutine ", ".go:", "operation error", "go1.", "/holdfast/d/", "/tmp/", "nosuchkey", "runtime error", "internal/", "versitygw",
}

type oneError struct {
	Code    string
	Message string
	Detail  json.RawMessage
}

func (ans *answer) errors() []oneError {
	var body struct{ Errors []oneError }
	if json.Unmarshal(ans.Body, &body) != nil {
		return nil
	}
	return body.Errors
}

// contract holds for every answer: an error is one of the spec's, in its form, with the headers that go with its status; and nothing leaks.
func (a *attack) contract(ans *answer) {
	a.Helper()
	wrong := func(format string, args ...any) {
		a.Helper()
		a.Errorf("%s: %d: %s\n  %v\n  %s", clip(ans.asked), ans.Status, fmt.Sprintf(format, args...), ans.Header, clip(string(ans.Body)))
	}
	a.leaks(ans)
	if l := ans.Header.Get("Location"); l != "" && (!strings.HasPrefix(l, "/") || strings.HasPrefix(l, "//")) {
		wrong("Location %q is not on this host", l)
	}
	if ans.Status < 400 {
		return
	}
	for status, header := range map[int]string{401: "WWW-Authenticate", 405: "", 429: "Retry-After", 503: "Retry-After"} {
		if ans.Status == status && header != "" && ans.Header.Get(header) == "" {
			wrong("no %s", header)
		}
	}
	if ans.Header.Get("Access-Control-Allow-Origin") == "*" && ans.Header.Get("Access-Control-Allow-Credentials") != "" {
		wrong("every origin, with credentials")
	}
	if strings.HasPrefix(ans.asked, "HEAD ") {
		if len(ans.Body) > 0 {
			wrong("a HEAD is answered with a body")
		}
		return
	}
	if ct := ans.Header.Get("Content-Type"); ct != "application/json" {
		wrong("Content-Type of an error is %q", ct)
	}
	if ans.Header.Get("X-Content-Type-Options") != "nosniff" {
		wrong("an error may be sniffed at")
	}
	all := ans.errors()
	if len(all) == 0 {
		wrong("the body is no list of errors")
	}
	for _, e := range all {
		if !slices.Contains(codes, e.Code) && (ans.Status < 500 || e.Code != "UNAVAILABLE" && e.Code != "UNKNOWN") {
			wrong("code %q is not of the spec", e.Code)
		}
		if e.Message == "" {
			wrong("an error has no message")
		}
	}
	if ans.Status == 500 {
		wrong("a fault of ours")
	}
}

// leaks reports what an answer tells of the machinery behind it. What a client pushed is its own.
func (a *attack) leaks(ans *answer) {
	a.Helper()
	shown := strings.ToLower(fmt.Sprint(ans.Header))
	if ans.Status >= 300 {
		shown += strings.ToLower(string(ans.Body))
	}
	for _, word := range slices.Concat(traces, a.secrets()) {
		if strings.Contains(shown, strings.ToLower(word)) {
			a.Errorf("%s: %d tells %q\n  %s", clip(ans.asked), ans.Status, word, clip(shown))
		}
	}
}
