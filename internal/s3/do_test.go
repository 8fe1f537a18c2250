package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

func TestRetries(t *testing.T) {
	get := func(c *Client, ctx context.Context) error { _, _, err := c.GetValue(ctx, "k", 10); return err }
	create := func(c *Client, ctx context.Context) error {
		_, err := c.PutValue(ctx, "k", []byte("v"), Condition{Absent: true})
		return err
	}
	put := func(c *Client, ctx context.Context) error {
		_, err := c.PutObject(ctx, "k", [][]byte{[]byte("v")}, 1)
		return err
	}
	remove := func(c *Client, ctx context.Context) error { return c.Delete(ctx, "k", `"e"`) }
	for _, c := range []struct {
		name     string
		request  func(*Client, context.Context) error
		status   int
		code     string
		requests int
		kind     Kind
	}{
		{"get 500", get, 500, "InternalError", maxAnswered, Unavailable},
		{"get 503", get, 503, "SlowDown", 3, Throttled},
		{"get 429", get, 429, "TooManyRequests", 3, Throttled},
		{"get 408", get, 408, "", 3, Unavailable},
		{"get RequestTimeout", get, 400, "RequestTimeout", 3, Unavailable},
		{"get 404", get, 404, "NoSuchKey", 1, NotFound},
		{"get 404 of a proxy", get, 404, "", 3, Unavailable},
		{"get 404 of a bucket", get, 404, "NoSuchBucket", 1, Rejected},
		{"get 403", get, 403, "AccessDenied", 1, Denied},
		{"get 501", get, 501, "NotImplemented", 1, Rejected},
		{"get 307", get, 307, "TemporaryRedirect", 1, Rejected},
		{"create 500", create, 500, "InternalError", 1, Unavailable},
		{"create 503", create, 503, "SlowDown", 1, Throttled},
		{"create 412", create, 412, "PreconditionFailed", 1, Precondition},
		{"create 409", create, 409, "ConditionalRequestConflict", 1, Conflict},
		{"create ExpiredToken, fixed keys", create, 400, "ExpiredToken", 1, Rejected},
		{"put 409", put, 409, "OperationAborted", maxAnswered, Conflict},
		{"remove 500", remove, 500, "InternalError", 1, Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				requests := 0
				client := fakeClient(t, func(*http.Request) (*http.Response, error) {
					requests++
					if c.code == "" {
						return reply(c.status, "<html>"), nil
					}
					return fault(c.status, c.code), nil
				})
				begin := time.Now()
				err := c.request(client, t.Context())
				if KindOf(err) != c.kind || err == nil {
					t.Errorf("got %v of kind %d, want %d", err, KindOf(err), c.kind)
				}
				if requests != c.requests {
					t.Errorf("%d requests, want %d", requests, c.requests)
				}
				if took := time.Since(begin); took > metadataTime {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

// TestRetryBudget: when every request fails, retries stop at the burst.
func TestRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		c := fakeClient(t, func(*http.Request) (*http.Response, error) { requests++; return fault(503, "SlowDown"), nil })
		for range 1000 {
			_, _, _ = c.GetValue(t.Context(), "k", 10)
		}
		if requests > 1000+retryBurst {
			t.Errorf("%d requests for 1000 calls", requests)
		}
	})
}

// TestExpired: credentials that expired are asked for anew, once, also for a conditional write.
func TestExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		c := fakeClient(t, func(*http.Request) (*http.Response, error) {
			if requests++; requests == 1 {
				return fault(400, "ExpiredToken"), nil
			}
			return reply(200, ""), nil
		})
		c.credentials = aws.NewCredentialsCache(aws.AnonymousCredentials{})
		if _, err := c.PutValue(t.Context(), "k", []byte("v"), Condition{Absent: true}); err != nil || requests != 2 {
			t.Errorf("%v after %d requests", err, requests)
		}
	})
}

// TestUploadProgress: a store that takes no byte for ten seconds is given up, one that is slow is not.
func TestUploadProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chunk := make([]byte, 1<<20)
		put := func(store http.RoundTripper) (time.Duration, error) {
			c := fakeClient(t, nil)
			c.cfg.Transport = func(http.RoundTripper) http.RoundTripper { return store }
			c.wire = c.wire.over(c.newHTTPClient().Transport)
			begin := time.Now()
			_, err := c.PutObject(t.Context(), "k", [][]byte{chunk, chunk, chunk, chunk}, 4<<20)
			return time.Since(begin), err
		}
		took, err := put(rawTripper(func(r *http.Request) (*http.Response, error) {
			buf := make([]byte, 256<<10)
			for {
				time.Sleep(2 * time.Second)
				if _, err := r.Body.Read(buf); err == io.EOF {
					return reply(200, ""), r.Body.Close()
				} else if err != nil {
					return nil, err
				}
			}
		}))
		if err != nil || took < 30*time.Second {
			t.Errorf("a slow store: %v after %s", err, took)
		}
		took, err = put(rawTripper(func(r *http.Request) (*http.Response, error) {
			_, _ = r.Body.Read(make([]byte, 10))
			return hang(r)
		}))
		if KindOf(err) != Timeout || took > 3*stallTime+3*time.Second {
			t.Errorf("a stalled store: %v after %s", err, took)
		}
		begin := time.Now()
		_, err = fakeClient(t, hang).PutObject(t.Context(), "k", [][]byte{chunk[:1000]}, 1000)
		if took := time.Since(begin); KindOf(err) != Timeout || took > 5*time.Second {
			t.Errorf("a small object and a store that hangs: %v after %s", err, took)
		}
	})
}

type rawTripper func(*http.Request) (*http.Response, error)

func (f rawTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestPayload reads through chunks of odd sizes, and never after detach.
func TestPayload(t *testing.T) {
	w := newWatch(t.Context(), time.Hour)
	defer w.stop()
	chunks := [][]byte{[]byte("ab"), []byte("c"), {}, []byte("defg")}
	if got, err := io.ReadAll(iotestOneByte{newPayload(op{progress: true}, w, chunks, 7)}); err != nil || string(got) != "abcdefg" {
		t.Fatalf("read %q, %v", got, err)
	}
	p := newPayload(op{progress: true}, w, chunks, 7)
	if n, err := p.Read(make([]byte, 5)); err != nil || n != 5 {
		t.Fatal(n, err)
	}
	p.detach()
	if n, err := p.Read(make([]byte, 1)); err == nil || n > 0 {
		t.Error("a read after detach")
	}
}

// TestPayloadEnds: who has sent all of a body, and looks for its end after the call, finds it.
func TestPayloadEnds(t *testing.T) {
	w := newWatch(t.Context(), time.Minute)
	defer w.stop()
	p := newPayload(op{}, w, [][]byte{[]byte("ab"), []byte("c")}, 3)
	if _, err := io.ReadFull(p, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	p.detach()
	if n, err := p.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

type iotestOneByte struct{ r io.Reader }

func (o iotestOneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

// TestGuard: nothing but a GET may be replayed by net/http, whose rules these are.
func TestGuard(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete} {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://store.invalid/", bytes.NewReader([]byte("v")))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Idempotency-Key", "k")
		g := &guard{clock: newClock(), next: rawTripper(func(r *http.Request) (*http.Response, error) {
			read := method == http.MethodGet || method == http.MethodHead
			if replayable := r.GetBody != nil || r.Header.Get("Idempotency-Key") != ""; replayable != read {
				t.Errorf("%s: replayable %t", method, replayable)
			}
			return &http.Response{StatusCode: 200, Body: http.NoBody, Header: http.Header{}}, nil
		})}
		resp, err := g.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEndOfABody: net/http may look for the end of a body when the SDK has closed it; an error there ends the connection in the middle of an answer.
func TestEndOfABody(t *testing.T) {
	var sent io.Reader
	c := fakeClient(t, func(r *http.Request) (*http.Response, error) {
		sent = r.Body
		if _, err := io.Copy(io.Discard, io.LimitReader(sent, r.ContentLength)); err != nil {
			t.Error(err)
		}
		return reply(200, `<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>`), nil
	})
	if err := c.CompleteUpload(t.Context(), "k", "id", []Part{{Number: 1, ETag: `"p"`}}); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, sent); n != 0 || err != nil {
		t.Errorf("after the call: %d bytes, %v", n, err)
	}
}

// TestSigning: segments go out unsigned and without checksums over plain HTTP, records are signed.
func TestSigning(t *testing.T) {
	var header http.Header
	var length int64
	c := fakeClient(t, func(r *http.Request) (*http.Response, error) {
		header, length = r.Header, r.ContentLength
		return reply(200, ""), nil
	})
	value := []byte("value")
	if _, err := c.PutObject(t.Context(), "k", [][]byte{value}, 5); err != nil {
		t.Fatal(err)
	}
	if got := header.Get("X-Amz-Content-Sha256"); got != "UNSIGNED-PAYLOAD" || length != 5 {
		t.Errorf("segment: %s, %d bytes", got, length)
	}
	for name := range header {
		if strings.HasPrefix(name, "X-Amz-Checksum") || strings.HasPrefix(name, "X-Amz-Sdk-Checksum") || name == "Content-Md5" || name == "Content-Encoding" || name == "Expect" {
			t.Errorf("segment: header %s", name)
		}
	}
	if _, err := c.PutValue(t.Context(), "k", value, Condition{Absent: true}); err != nil {
		t.Fatal(err)
	}
	if got := header.Get("X-Amz-Content-Sha256"); len(got) != 64 {
		t.Errorf("record: %s", got)
	}
	if got := header.Get("If-None-Match"); got != "*" {
		t.Errorf("record: If-None-Match %q", got)
	}
	if !strings.Contains(header.Get("Authorization"), "/us-east-1/s3/") {
		t.Errorf("record: %s", header.Get("Authorization"))
	}
}
