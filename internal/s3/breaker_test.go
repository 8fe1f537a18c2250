package s3

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// roundTripper is a store in a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	return f(r)
}

func fakeClient(t *testing.T, store roundTripper) *Client {
	t.Helper()
	c, err := New(t.Context(), Config{
		Endpoint: "http://store.invalid", Bucket: "b", AccessKey: "a", SecretKey: "s",
		Transport: func(http.RoundTripper) http.RoundTripper { return store },
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func reply(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Etag": {`"e"`}, "Date": {time.Now().UTC().Format(http.TimeFormat)}, "Content-Length": {strconv.Itoa(len(body))}},
		ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
	}
}

func fault(status int, code string) *http.Response {
	return reply(status, "<Error><Code>"+code+"</Code></Error>")
}

func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestBreaker: a store that hangs costs the first callers their deadline and the others nothing; one
// request a second goes through; the first answer closes it.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int32
		var hangs atomic.Bool
		hangs.Store(true)
		c := fakeClient(t, func(r *http.Request) (*http.Response, error) {
			requests.Add(1)
			if hangs.Load() {
				return hang(r)
			}
			return reply(200, "value"), nil
		})
		get := func() (time.Duration, error) {
			begin := time.Now()
			_, _, err := c.GetValue(t.Context(), "k", 10)
			return time.Since(begin), err
		}
		if took, err := get(); KindOf(err) != Timeout || took > metadataTime {
			t.Fatalf("first: %v after %s", err, took)
		}
		go func() { // the first probe, at once
			if took, err := get(); KindOf(err) != Timeout || took > metadataTime {
				t.Errorf("the first probe: %v after %s", err, took)
			}
		}()
		synctest.Wait()
		before := requests.Load()
		for range 100 {
			if took, err := get(); !IsOpen(err) || took != 0 {
				t.Fatalf("while open: %v after %s", err, took)
			}
		}
		if n := requests.Load() - before; n != 0 {
			t.Fatalf("%d requests while open", n)
		}
		for range 5 {
			time.Sleep(breakerProbe)
			if took, err := get(); KindOf(err) != Timeout || took > metadataTime {
				t.Fatalf("probe: %v after %s", err, took)
			}
		}
		if n := requests.Load() - before; n != 5 {
			t.Fatalf("%d requests in five probes", n)
		}
		hangs.Store(false)
		time.Sleep(breakerProbe)
		for range 10 {
			if _, err := get(); err != nil {
				t.Fatalf("after the store came back: %v", err)
			}
		}
	})
}

// TestBreakerPatience: what is no sign of a dead store does not open it.
func TestBreakerPatience(t *testing.T) {
	for name, store := range map[string]roundTripper{
		"404":       func(*http.Request) (*http.Response, error) { return fault(404, "NoSuchKey"), nil },
		"403":       func(*http.Request) (*http.Response, error) { return fault(403, "AccessDenied"), nil },
		"throttled": func(*http.Request) (*http.Response, error) { return fault(503, "SlowDown"), nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := fakeClient(t, store)
				for range 30 {
					if _, _, err := c.GetValue(t.Context(), "k", 10); IsOpen(err) {
						t.Fatal("the breaker opened")
					}
				}
			})
		})
	}
	t.Run("callers that leave", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := fakeClient(t, hang)
			for range 30 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				_, _, err := c.GetValue(ctx, "k", 10)
				cancel()
				if !errors.Is(err, context.DeadlineExceeded) || !IsContext(err) {
					t.Fatalf("got %v, want the caller's context error", err)
				}
			}
		})
	})
	t.Run("one of three fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			c := fakeClient(t, func(*http.Request) (*http.Response, error) {
				time.Sleep(10 * time.Millisecond)
				if n++; n%3 == 0 {
					return fault(500, "InternalError"), nil
				}
				return reply(200, "value"), nil
			})
			for range 1000 {
				if _, _, err := c.GetValue(t.Context(), "k", 10); IsOpen(err) {
					t.Fatal("the breaker opened")
				}
			}
		})
	})
}

// TestBreakerRefused: a port that refuses connections opens it within a second or so of requests.
func TestBreakerRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fakeClient(t, func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") })
		begin := time.Now()
		for {
			_, _, err := c.GetValue(t.Context(), "k", 10)
			if IsOpen(err) {
				break
			}
			if KindOf(err) != Unavailable || time.Since(begin) > 3*time.Second {
				t.Fatalf("%v after %s", err, time.Since(begin))
			}
		}
	})
}

// TestDeadConnection: the first request is never answered, the store is well otherwise, and others are answered. What may be sent again is;
// nothing opens the breaker.
func TestDeadConnection(t *testing.T) {
	body := [][]byte{[]byte("value")}
	for name, request := range map[string]func(*Client, context.Context) error{
		"get":    func(c *Client, ctx context.Context) error { _, _, err := c.GetValue(ctx, "k", 10); return err },
		"list":   func(c *Client, ctx context.Context) error { _, _, err := c.page(ctx, "k", "", pageSize); return err },
		"delete": func(c *Client, ctx context.Context) error { return c.Delete(ctx, "k", "") },
		"object": func(c *Client, ctx context.Context) error { _, err := c.PutObject(ctx, "k", body, 5); return err },
		"part": func(c *Client, ctx context.Context) error {
			_, err := c.UploadPart(ctx, "k", "id", 1, body, 5)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var requests atomic.Int32
				c := fakeClient(t, func(r *http.Request) (*http.Response, error) {
					switch {
					case strings.HasSuffix(r.URL.Path, "/other"):
						return reply(200, "value"), nil
					case requests.Add(1) == 1:
						return hang(r)
					case r.URL.Query().Has("list-type"):
						return reply(200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"), nil
					}
					return reply(200, "value"), nil
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					for ctx.Err() == nil {
						_, _, _ = c.GetValue(ctx, "other", 10)
						_ = sleep(ctx, time.Second)
					}
				}()
				begin := time.Now()
				if err := request(c, t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took > silentTime || requests.Load() != 2 {
					t.Errorf("%s, %d requests", took, requests.Load())
				}
				if !c.breaker.closed() {
					t.Error("the breaker is open")
				}
			})
		})
	}
}

// TestBodyThatStalls: an answer that has begun, and breaks off, is no sign of a store that is gone.
func TestBodyThatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fakeClient(t, func(r *http.Request) (*http.Response, error) {
			resp := reply(200, "value")
			resp.Body = io.NopCloser(stalled{r})
			return resp, nil
		})
		if _, _, err := c.GetValue(t.Context(), "k", 10); KindOf(err) != Timeout {
			t.Errorf("a small object: %v", err)
		}
		body, err := c.Get(t.Context(), "k", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a body: %v", err)
		}
		_ = body.Close()
		if !c.breaker.closed() {
			t.Error("the breaker is open")
		}
	})
}

// stalled is a body without a byte.
type stalled struct{ r *http.Request }

func (s stalled) Read([]byte) (int, error) {
	<-s.r.Context().Done()
	return 0, s.r.Context().Err()
}

// TestBreakerThrottled: a store that was gone, and asks for fewer requests, is there again.
func TestBreakerThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Bool
		c := fakeClient(t, func(r *http.Request) (*http.Response, error) {
			if back.Load() {
				return fault(503, "SlowDown"), nil
			}
			return hang(r)
		})
		_, _, _ = c.GetValue(t.Context(), "k", 10)
		if c.breaker.closed() {
			t.Fatal("the breaker is closed")
		}
		back.Store(true)
		time.Sleep(breakerProbe)
		if _, _, err := c.GetValue(t.Context(), "k", 10); KindOf(err) != Throttled || !c.breaker.closed() {
			t.Errorf("%v, closed: %t", err, c.breaker.closed())
		}
	})
}
