package probe_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/record"
	"holdfast/internal/s3"
	"holdfast/internal/s3/probe"
	"holdfast/internal/s3/s3test"
)

// TestHostile turns a good store into ones that lose writes, and wants each refused for its own reason.
func TestHostile(t *testing.T) {
	server := s3test.Servers(t)[0]
	for _, c := range []struct {
		name    string
		behave  func(http.RoundTripper) http.RoundTripper
		reason  probe.Reason
		finding string
	}{
		{"ignores If-None-Match", s3test.IgnoreHeader("If-None-Match"), probe.Conditions, "ignores If-None-Match"},
		{"ignores If-Match", s3test.IgnoreHeader("If-Match"), probe.Conditions, "ignores If-Match"},
		{"creates in two steps", s3test.RacyHeader("If-None-Match", 50*time.Millisecond), probe.Conditions, "won under If-None-Match"},
		{"swaps in two steps", s3test.RacyHeader("If-Match", 50*time.Millisecond), probe.Conditions, "won under If-Match"},
		{"reads end early", s3test.ShortReads, probe.Reads, "ended before the length"},
		{"reads are torn", s3test.TornReads, probe.Consistency, "torn"},
		{"lists are stale", s3test.Stale("ListObjectsV2", time.Minute), probe.Consistency, "list"},
		{"reads are stale", s3test.Stale("GetObject", time.Minute), probe.Consistency, "value before"},
		{"heads are stale", s3test.Stale("HeadObject", time.Minute), probe.Consistency, "HEAD"},
		{"parts are not listed by their ETag", staleParts, probe.Multipart, "replaced"},
	} {
		t.Run(c.name, func(t *testing.T) {
			hostile := server.Proxy(t, c.behave)
			_, err := probe.Run(t.Context(), hostile.Client(t), probe.Options{})
			var refused *probe.Refused
			if !errors.As(err, &refused) {
				t.Fatalf("not refused: %v", err)
			}
			if refused.Reason != c.reason || !strings.Contains(refused.Finding, c.finding) {
				t.Errorf("refused for %q: %v, want %q: ...%s...", refused.Reason, err, c.reason, c.finding)
			}
			if refused.Remedy == "" || errors.Is(err, record.ErrUnavailable) {
				t.Errorf("no remedy, or unavailable: %v", err)
			}
		})
	}
}

// TestOvertaken: a store that tells who writes a key, again and again, that another request came between is no bad store.
func TestOvertaken(t *testing.T) {
	server := s3test.Servers(t)[0]
	good, err := probe.Run(t.Context(), server.Client(t), probe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	client := server.Proxy(t, s3test.Overtaken(3)).Client(t)
	result, err := probe.Ensure(t.Context(), client, "v")
	if err != nil || result.Tier != good.Tier || result.Traits != good.Traits {
		t.Errorf("the full test: %+v, %v; want %+v", result, err, good)
	}
	if result, err = probe.Ensure(t.Context(), client, "v"); err != nil || !result.Cached {
		t.Errorf("the quick test: %+v, %v", result, err)
	}
	if result.Forget != nil {
		result.Forget()
	}
}

// TestBrokenOff: reads that break off for a while are an outage, or are made again, and say nothing of the store.
func TestBrokenOff(t *testing.T) {
	server := s3test.Servers(t)[0]
	for name, c := range map[string]struct {
		from, to int64
		passes   bool
	}{"the first": {0, 5, true}, "later ones": {20, 60, false}} {
		t.Run(name, func(t *testing.T) {
			reads := new(atomic.Int64)
			client := server.Proxy(t, func(next http.RoundTripper) http.RoundTripper {
				short := s3test.ShortReads(next)
				return s3test.RoundTripper(func(r *http.Request) (*http.Response, error) {
					if s3test.Op(r) == "GetObject" {
						if n := reads.Add(1); n > c.from && n <= c.to {
							return short.RoundTrip(r)
						}
					}
					return next.RoundTrip(r)
				})
			}).Client(t)
			_, err := probe.Run(t.Context(), client, probe.Options{})
			var refused *probe.Refused
			switch {
			case c.passes && err != nil, errors.As(err, &refused):
				t.Errorf("refused, or not made: %v", err)
			case !c.passes && !errors.Is(err, record.ErrUnavailable):
				t.Errorf("made, or something else: %v", err)
			}
		})
	}
}

// staleParts takes every Complete for good that the real store refuses.
func staleParts(next http.RoundTripper) http.RoundTripper {
	return s3test.RoundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil && s3test.Op(r) == "CompleteMultipartUpload" && resp.StatusCode == http.StatusBadRequest {
			resp.StatusCode = http.StatusOK
			resp.Body = http.NoBody
			resp.ContentLength = 0
			resp.Header.Del("Content-Length")
		}
		return resp, err
	})
}

// TestRefused gives a good store wrong settings.
func TestRefused(t *testing.T) {
	server := s3test.Servers(t)[0]
	base := server.Config(t)
	for _, c := range []struct {
		name   string
		change func(*s3.Config)
		behave func(http.RoundTripper) http.RoundTripper
		reason probe.Reason
		text   string
	}{
		{"no bucket", func(c *s3.Config) { c.Bucket = "no-such-bucket" }, nil, probe.Bucket, "no-such-bucket"},
		{"unknown key", func(c *s3.Config) { c.AccessKey = "nobody" }, nil, probe.Credentials, "does not take the credentials"},
		{"wrong secret", func(c *s3.Config) { c.SecretKey = "wrong" }, nil, probe.Credentials, "SignatureDoesNotMatch"},
		{"https to an http port", func(c *s3.Config) { c.Endpoint = strings.Replace(c.Endpoint, "http:", "https:", 1) }, nil, probe.TLS, "plain HTTP"},
		{"another region", nil, refuse("ListObjectsV2", 301, "PermanentRedirect"), probe.Region, "us-east-1"},
		{"clock skew", nil, refuse("ListObjectsV2", 403, "RequestTimeTooSkewed"), probe.Clock, "clock"},
		{"may not list", nil, refuse("ListObjectsV2", 403, "AccessDenied"), probe.Permission, "s3:ListBucket"},
		{"may not put", nil, refuse("PutObject", 403, "AccessDenied"), probe.Permission, "s3:PutObject"},
		{"may not get", nil, refuse("GetObject", 403, "AccessDenied"), probe.Permission, "s3:GetObject"},
		{"may not abort", nil, refuse("AbortMultipartUpload", 403, "AccessDenied"), probe.Permission, "s3:AbortMultipartUpload"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := base
			if c.change != nil {
				c.change(&cfg)
			}
			cfg.Transport = c.behave
			_, err := probe.Run(t.Context(), server.Open(t, cfg), probe.Options{})
			var refused *probe.Refused
			if !errors.As(err, &refused) || refused.Reason != c.reason || !strings.Contains(refused.Error(), c.text) {
				t.Errorf("got %v, want a refusal for %q that says %q", err, c.reason, c.text)
			}
		})
	}
}

// refuse answers every request of an operation with an error.
func refuse(op string, status int, code string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return s3test.RoundTripper(func(r *http.Request) (*http.Response, error) {
			if s3test.Op(r) == op {
				return s3test.Answer(status, code)(r, next)
			}
			return next.RoundTrip(r)
		})
	}
}

func TestNoDelete(t *testing.T) {
	server := s3test.Servers(t)[0]
	client := server.Client(t, func(c *s3.Config) { c.Transport = refuse("DeleteObject", 403, "AccessDenied") })
	result, err := probe.Run(t.Context(), client, probe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if result.CanDelete || !strings.Contains(strings.Join(result.Warnings, " "), "s3:DeleteObject") {
		t.Errorf("a store that forbids deletes is not told of: %+v", result)
	}
}

// TestUnavailable wants a store that does not answer told from one that is refused.
func TestUnavailable(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	page := httptest.NewServer(http.NotFoundHandler())
	defer page.Close()
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer busy.Close()
	stop := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer hanging.Close()
	defer close(stop)
	for name, endpoint := range map[string]string{
		"closed port": closed.URL, "a proxy's page": page.URL, "503": busy.URL, "hangs": hanging.URL, "no such host": "http://no-such-host.invalid",
	} {
		t.Run(name, func(t *testing.T) {
			client, err := s3.New(t.Context(), s3.Config{Endpoint: endpoint, Bucket: "bucket", AccessKey: "a", SecretKey: "b"}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			_, err = probe.Ensure(t.Context(), client, "v1")
			var refused *probe.Refused
			if !errors.Is(err, record.ErrUnavailable) || errors.As(err, &refused) {
				t.Errorf("got %v, want record.ErrUnavailable", err)
			}
			if took := time.Since(begin); took > 6*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestEnsure(t *testing.T) {
	s3test.Each(t, func(t *testing.T, server s3test.Server) {
		var counter s3test.Counter
		cfg := server.Config(t)
		cfg.Transport = counter.Wrap
		ensure := func(version string) probe.Result {
			t.Helper()
			client, err := s3.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			result, err := probe.Ensure(t.Context(), client, version)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(server.Traits(), client.Traits()); diff != "" {
				t.Errorf("the client's traits (-want +got):\n%s", diff)
			}
			if result.Forget != nil {
				result.Forget()
			}
			return result
		}
		full := ensure("v1")
		if full.Cached {
			t.Error("the first test is not a full one")
		}
		counter.Take()
		again := ensure("v1")
		requests := 0
		for _, n := range counter.Take() {
			requests += n
		}
		// Its result, a list, three creates, three swaps, a delete.
		if !again.Cached || again.Tier != full.Tier || requests != 9 {
			t.Errorf("the second start: cached %t, %d requests", again.Cached, requests)
		}
		if ensure("v2").Cached {
			t.Error("another version trusts the result of the first")
		}
		if left := scratch(t, server.Open(t, cfg)); len(left) != 0 {
			t.Errorf("scratch keys are left: %v", left)
		}
	})
}

// TestQuickSees wants the short test to see a store that went bad after the full one.
func TestQuickSees(t *testing.T) {
	server := s3test.Servers(t)[0]
	for _, header := range []string{"If-None-Match", "If-Match"} {
		bad := server.Proxy(t, s3test.IgnoreHeader(header))
		var refused *probe.Refused
		if err := probe.Quick(t.Context(), bad.Client(t)); !errors.As(err, &refused) || refused.Reason != probe.Conditions {
			t.Errorf("without %s: %v", header, err)
		}
	}
}

// TestAsksToLookAgain: a 409 to a write without a race says that the store is busy, not that it is a wrong one.
func TestAsksToLookAgain(t *testing.T) {
	server := s3test.Servers(t)[0]
	busy := server.Proxy(t, func(next http.RoundTripper) http.RoundTripper {
		return s3test.RoundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil && s3test.Op(r) == "PutObject" {
				resp.StatusCode = http.StatusConflict
			}
			return resp, err
		})
	})
	var refused *probe.Refused
	if _, err := probe.Run(t.Context(), busy.Client(t), probe.Options{}); !errors.Is(err, record.ErrUnavailable) || errors.As(err, &refused) {
		t.Errorf("got %v, want unavailable", err)
	}
}

func TestCanceled(t *testing.T) {
	server := s3test.Servers(t)[0]
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := probe.Run(ctx, server.Client(t), probe.Options{}); !errors.Is(err, context.Canceled) || errors.Is(err, record.ErrUnavailable) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func scratch(t *testing.T, client *s3.Client) (keys []string) {
	t.Helper()
	for item, err := range client.List(t.Context(), "cfg/probe/", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, item.Key)
	}
	return keys
}

// TestMeet lets two replicas meet: on a good store, and on one that forgets the condition at one node.
func TestMeet(t *testing.T) {
	server := s3test.Servers(t)[0]
	node := server.Proxy(t, s3test.IgnoreHeader("If-None-Match"))
	meet := func(endpoints ...string) error {
		cfg := server.Config(t)
		var group errgroup.Group
		for _, endpoint := range endpoints {
			cfg.Endpoint = endpoint
			client := server.Open(t, cfg)
			group.Go(func() error { return probe.Meet(t.Context(), client) })
		}
		return group.Wait()
	}
	if err := meet(server.Endpoints...); err != nil {
		t.Errorf("a good store: %v", err)
	}
	var refused *probe.Refused
	if err := meet(server.Endpoints[0], node.Endpoints[0]); !errors.As(err, &refused) || refused.Reason != probe.Conditions {
		t.Errorf("a store whose nodes decide for themselves: %v", err)
	}
}
