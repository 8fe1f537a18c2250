package s3test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Op is the S3 operation that a path-style request asks for, "" for one that the drivers do not use.
func Op(r *http.Request) string {
	query := r.URL.Query()
	_, key, _ := strings.Cut(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case key == "":
		switch {
		case r.Method != http.MethodGet:
			return ""
		case query.Has("uploads"):
			return "ListMultipartUploads"
		case query.Has("list-type"):
			return "ListObjectsV2"
		}
		return ""
	case r.Method == http.MethodGet:
		return "GetObject"
	case r.Method == http.MethodHead:
		return "HeadObject"
	case r.Method == http.MethodPut && query.Has("partNumber"):
		return "UploadPart"
	case r.Method == http.MethodPut:
		return "PutObject"
	case r.Method == http.MethodPost && query.Has("uploads"):
		return "CreateMultipartUpload"
	case r.Method == http.MethodPost && query.Has("uploadId"):
		return "CompleteMultipartUpload"
	case r.Method == http.MethodDelete && query.Has("uploadId"):
		return "AbortMultipartUpload"
	case r.Method == http.MethodDelete:
		return "DeleteObject"
	}
	return ""
}

// RoundTripper is a function that is an http.RoundTripper.
type RoundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f RoundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Counter counts the requests that go to the store, by operation. Wrap is for s3.Config.Transport.
type Counter struct {
	mu     sync.Mutex
	counts map[string]int
}

// Wrap returns a transport that counts.
func (c *Counter) Wrap(next http.RoundTripper) http.RoundTripper {
	return RoundTripper(func(r *http.Request) (*http.Response, error) {
		c.mu.Lock()
		if c.counts == nil {
			c.counts = map[string]int{}
		}
		c.counts[Op(r)]++
		c.mu.Unlock()
		return next.RoundTrip(r)
	})
}

// Take returns the counts since the last Take.
func (c *Counter) Take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.counts
	c.counts = nil
	return counts
}

// Fault answers one request, with the help of the real store or without.
type Fault func(r *http.Request, next http.RoundTripper) (*http.Response, error)

// Faults returns a wrapper for s3.Config.Transport under which the requests of an operation meet the
// faults, one after the other; nil is none, and so are all after the last.
func Faults(op string, faults ...Fault) func(http.RoundTripper) http.RoundTripper {
	var mu sync.Mutex
	return func(next http.RoundTripper) http.RoundTripper {
		return RoundTripper(func(r *http.Request) (*http.Response, error) {
			if Op(r) != op {
				return next.RoundTrip(r)
			}
			mu.Lock()
			var fault Fault
			if len(faults) > 0 {
				fault, faults = faults[0], faults[1:]
			}
			mu.Unlock()
			if fault == nil {
				return next.RoundTrip(r)
			}
			return fault(r, next)
		})
	}
}

// Answer is the fault of a store that refuses the request: it is not applied.
func Answer(status int, code string) Fault {
	return func(r *http.Request, _ http.RoundTripper) (*http.Response, error) {
		drain(r)
		return answer(r, status, code), nil
	}
}

// Applied makes the request, and answers what fault answers.
func Applied(fault Fault) Fault {
	return func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		if err := resp.Body.Close(); err != nil {
			return nil, err
		}
		return fault(r, next)
	}
}

// Reset is the fault of a connection that breaks before the answer.
func Reset(r *http.Request, _ http.RoundTripper) (*http.Response, error) {
	drain(r)
	return nil, io.ErrUnexpectedEOF
}

// Hang is the fault of a store that does not answer.
func Hang(r *http.Request, _ http.RoundTripper) (*http.Response, error) {
	drain(r)
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func drain(r *http.Request) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
}

func answer(r *http.Request, status int, code string) *http.Response {
	body := fmt.Sprintf("<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>a fault</Message></Error>", code)
	if code == "" {
		body = "<html>a proxy's page</html>"
	}
	return &http.Response{
		StatusCode: status, Status: fmt.Sprint(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/xml"}}, ContentLength: int64(len(body)),
		Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}
}
