package fault_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/test/fault"
)

const content = "the bytes that the store has"

// store answers every call with content, and counts what it is asked.
type store struct {
	*httptest.Server
	asked atomic.Int64
	last  atomic.Pointer[http.Request]
}

func newStore(t *testing.T) *store {
	s := &store{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		s.asked.Add(1)
		s.last.Store(r.Clone(context.WithoutCancel(r.Context())))
		w.Header().Set("Etag", `"right"`)
		_, _ = io.WriteString(w, content)
	}))
	t.Cleanup(s.Close)
	return s
}

func newProxy(t *testing.T, s *store, rules ...fault.Rule) *fault.Proxy {
	t.Helper()
	p, err := fault.New(t.Context(), s.URL, 1)
	if err != nil {
		t.Fatal(err)
	}
	p.Set(rules...)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

type answer struct {
	status int
	header http.Header
	body   string
	err    error // before or in the body
}

func call(t *testing.T, p *fault.Proxy, method, path, body string) (a answer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.err = err
		return a
	}
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text), errors.Join(err, resp.Body.Close())}
}

func TestPassesAsItCame(t *testing.T) {
	s := newStore(t)
	p := newProxy(t, s)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.URL+"/bucket/a%2Fb%20c?x=1&y", strings.NewReader("12345"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x")
	req.Header.Set("User-Agent", "driver")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	got := s.last.Load()
	if got.RequestURI != "/bucket/a%2Fb%20c?x=1&y" || "http://"+got.Host != p.URL || got.ContentLength != 5 ||
		got.Header.Get("Authorization") != "AWS4-HMAC-SHA256 Credential=x" || got.Header.Get("User-Agent") != "driver" {
		t.Errorf("the store got another request: %s %s, Host %s, %v", got.Method, got.RequestURI, got.Host, got.Header)
	}
	for name := range got.Header {
		if strings.HasPrefix(name, "X-") || name == "Via" || name == "Forwarded" {
			t.Errorf("the proxy added %s", name)
		}
	}
}

func TestFaults(t *testing.T) {
	tests := []struct {
		fault fault.Fault
		asked int64 // by the store
		good  func(answer) bool
	}{
		{fault.InternalError(), 0, func(a answer) bool { return a.status == 500 && strings.Contains(a.body, "<Code>InternalError</Code>") }},
		{fault.SlowDown(), 0, func(a answer) bool { return a.status == 503 && strings.Contains(a.body, "<Code>SlowDown</Code>") }},
		{fault.ExpiredToken(), 0, func(a answer) bool { return a.status == 403 && strings.Contains(a.body, "ExpiredToken") }},
		{fault.TimeTooSkewed(), 0, func(a answer) bool { return a.status == 403 && strings.Contains(a.body, "RequestTimeTooSkewed") }},
		{fault.LostAnswer(500, "InternalError"), 1, func(a answer) bool { return a.status == 500 }},
		{fault.ErrorIn200("InternalError"), 1, func(a answer) bool { return a.status == 200 && strings.Contains(a.body, "<Code>InternalError</Code>") }},
		{fault.ResetBefore(), 0, func(a answer) bool { return a.err != nil && a.status == 0 }},
		{fault.ResetAfter(), 1, func(a answer) bool { return a.err != nil && a.status == 0 }},
		{fault.ResetBody(), 1, func(a answer) bool { return a.err != nil && a.status == 200 && strings.HasPrefix(content, a.body) }},
		{fault.CutBody(), 1, func(a answer) bool {
			return errors.Is(a.err, io.ErrUnexpectedEOF) && strings.HasPrefix(content, a.body)
		}},
		{fault.ShortBody(), 1, func(a answer) bool {
			return a.err == nil && len(a.body) < len(content) && strings.HasPrefix(content, a.body)
		}},
		{fault.FlipByte(), 1, func(a answer) bool { return a.err == nil && len(a.body) == len(content) && a.body != content }},
		{fault.WrongETag(), 1, func(a answer) bool { return a.body == content && a.header.Get("Etag") != `"right"` }},
		{fault.SkewDate(20 * time.Minute), 1, func(a answer) bool {
			date, err := http.ParseTime(a.header.Get("Date"))
			return err == nil && time.Until(date) > 19*time.Minute
		}},
		{fault.Delay(time.Millisecond, 2*time.Millisecond), 1, func(a answer) bool { return a.body == content }},
	}
	for _, test := range tests {
		t.Run(test.fault.Name, func(t *testing.T) {
			s := newStore(t)
			p := newProxy(t, s, fault.Rule{Fault: test.fault})
			if a := call(t, p, http.MethodGet, "/bucket/zot/holdfast/d/aa/id", ""); !test.good(a) {
				t.Errorf("answer %+v", a)
			}
			if got := s.asked.Load(); got != test.asked {
				t.Errorf("the store was asked %d times, want %d", got, test.asked)
			}
			if got := p.Counts()[test.fault.Name]; got != 1 {
				t.Errorf("counted %d, want 1", got)
			}
		})
	}
}

func TestHangEndsWithItsClientAndWithTheProxy(t *testing.T) {
	s := newStore(t)
	p := newProxy(t, s, fault.Rule{Fault: fault.Hang()})
	hang := func(n int) {
		for end := time.Now().Add(20 * time.Second); p.Counts()["hang"] < n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d calls hang, want %d", p.Counts()["hang"], n)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, p.URL+"/b/k", bytes.NewReader(make([]byte, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		left <- err
	}()
	hang(1)
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error("the client's call ended with", err)
	}
	failed := make(chan answer, 1)
	go func() { failed <- call(t, p, http.MethodGet, "/b/k", "") }()
	hang(2)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if a := <-failed; a.err == nil {
		t.Errorf("an answer came: %+v", a)
	}
	if s.asked.Load() != 0 {
		t.Error("the store was asked")
	}
}

func TestRules(t *testing.T) {
	s := newStore(t)
	p := newProxy(t, s,
		fault.Rule{Fault: fault.SlowDown(), Match: fault.Of(fault.Data, fault.Ops("GetObject")), Skip: 1, Times: 2},
		fault.Rule{Fault: fault.InternalError(), Match: fault.Of(fault.Record, fault.Writes)},
	)
	get := func(want int, method, path string) {
		t.Helper()
		if a := call(t, p, method, path, ""); a.status != want {
			t.Errorf("%s %s: %d, want %d", method, path, a.status, want)
		}
	}
	for _, want := range []int{200, 503, 503, 200} {
		get(want, http.MethodGet, "/b/zot/holdfast/d/aa/id")
	}
	get(500, http.MethodPut, "/b/holdfast/r/aa/repo/t/latest")
	get(200, http.MethodGet, "/b/holdfast/r/aa/repo/t/latest")
	get(200, http.MethodPut, "/b/holdfast/cfg/format")
	p.Set()
	get(200, http.MethodPut, "/b/holdfast/r/aa/repo/t/latest")

	p.Set(fault.Rule{Fault: fault.SlowDown(), Share: 0.3})
	for range 200 {
		call(t, p, http.MethodGet, "/b/k", "")
	}
	if got := p.Counts()["SlowDown"] - 2; got < 30 || got > 90 {
		t.Errorf("%d of 200 calls went wrong, want about 60", got)
	}
}
