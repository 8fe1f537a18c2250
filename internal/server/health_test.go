package server

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	records3 "holdfast/internal/record/s3"
	"holdfast/internal/s3"
)

// TestReadiness: a store that is slow is ready, also when nobody else asks it; one that refuses, or is silent, is not.
func TestReadiness(t *testing.T) {
	after := func(most time.Duration, status int, body string) answerer {
		return func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(time.Duration(rand.Int64N(int64(most)))):
				return answer(status, body), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}
	}
	for name, c := range map[string]struct {
		store answerer
		ready bool
	}{
		"well": {after(20*time.Millisecond, 200, "value"), true},
		// The longest silence is a probe's interval longer than the longest answer: exactly unreadyAfter.
		"slow":      {after(unreadyAfter-probeInterval, 200, "value"), true},
		"throttled": {after(20*time.Millisecond, 503, "<Error><Code>SlowDown</Code></Error>"), true},
		"denied":    {after(20*time.Millisecond, 403, "<Error><Code>AccessDenied</Code></Error>"), false},
		"no bucket": {after(20*time.Millisecond, 404, "<Error><Code>NoSuchBucket</Code></Error>"), false},
		"broken":    {after(20*time.Millisecond, 500, "<Error><Code>InternalError</Code></Error>"), false},
		"silent":    {silent, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := watched(t, c.store)
				time.Sleep(5 * time.Second)
				for range 1200 {
					time.Sleep(100 * time.Millisecond)
					if status, text := h.state(); (status == http.StatusOK) != c.ready {
						t.Fatalf("it is %s after %s", text, time.Since(h.born))
					}
				}
			})
		})
	}
}

// TestReadinessComesBack: what was sent to a store that is gone is never answered; soon after it is back, it is ready.
func TestReadinessComesBack(t *testing.T) {
	for phase := range 50 {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			gone, back := 10*time.Second, 30*time.Second+time.Duration(phase)*100*time.Millisecond
			h := watched(t, func(r *http.Request) (*http.Response, error) {
				if at := time.Since(begin); at > gone && at < back {
					return silent(r)
				}
				return answer(200, "value"), nil
			})
			time.Sleep(back - time.Millisecond)
			if status, _ := h.state(); status != http.StatusServiceUnavailable {
				t.Fatalf("%d while the store is gone", status)
			}
			time.Sleep(2 * time.Second)
			if status, text := h.state(); status != http.StatusOK {
				t.Errorf("%s 2 s after the store came back at %s", text, back)
			}
		})
	}
}

// answerer is a store in a function.
type answerer func(*http.Request) (*http.Response, error)

func (f answerer) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func silent(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func answer(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Etag": {`"e"`}, "Content-Length": {strconv.Itoa(len(body))}},
		ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
	}
}

// watched is the health of a replica that has just started over a store.
func watched(t *testing.T, f answerer) *health {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	client, err := s3.New(t.Context(), s3.Config{
		Endpoint: "http://store.invalid", Bucket: "b", AccessKey: "a", SecretKey: "s",
		Transport: func(http.RoundTripper) http.RoundTripper { return f },
	}, log)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{log: log, health: newHealth(), stores: []*store{{client: client, records: records3.New(client, "")}}}
	s.health.served = s.served
	s.health.started.Store(true)
	s.health.answered()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go s.health.watch(ctx, s.answers)
	return s.health
}
