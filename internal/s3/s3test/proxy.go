package s3test

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Proxy starts an S3 store of its own kind in front of a real one and returns it: what it does with a
// request is up to behave, whose next signs the request anew and sends it to the real store.
func (s Server) Proxy(t testing.TB, behave func(next http.RoundTripper) http.RoundTripper) Server {
	t.Helper()
	target, err := url.Parse(s.Endpoints[0])
	if err != nil {
		t.Fatal(err)
	}
	real := &http.Transport{MaxIdleConnsPerHost: 64}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	next := RoundTripper(func(r *http.Request) (*http.Response, error) {
		for name := range r.Header {
			if strings.HasPrefix(name, "X-Forwarded") || name == "Authorization" {
				r.Header.Del(name)
			}
		}
		const unsigned = "UNSIGNED-PAYLOAD"
		r.Header.Set("X-Amz-Content-Sha256", unsigned)
		keys := aws.Credentials{AccessKeyID: AccessKey, SecretAccessKey: SecretKey}
		if err := signer.SignHTTP(r.Context(), keys, r, unsigned, "s3", "us-east-1", time.Now()); err != nil {
			return nil, err
		}
		return real.RoundTrip(r)
	})
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: behave(next),
		// Headers go out before the body: a body that breaks off is seen as one.
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
	})
	t.Cleanup(func() {
		proxy.CloseClientConnections()
		proxy.Close()
		real.CloseIdleConnections()
	})
	return Server{Name: s.Name, Endpoints: []string{proxy.URL}}
}

// IgnoreHeader is the behaviour of a store that does not know a header.
func IgnoreHeader(name string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return RoundTripper(func(r *http.Request) (*http.Response, error) {
			r.Header.Del(name)
			return next.RoundTrip(r)
		})
	}
}

// ShortReads is the behaviour of a store whose reads end before the announced length.
func ShortReads(next http.RoundTripper) http.RoundTripper {
	return RoundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil && Op(r) == "GetObject" && resp.StatusCode == http.StatusOK {
			resp.Body = &cut{ReadCloser: resp.Body, rest: resp.ContentLength / 2}
		}
		return resp, err
	})
}

// TornReads is the behaviour of a store that shows the first half of a value as if it were all.
func TornReads(next http.RoundTripper) http.RoundTripper {
	return RoundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err != nil || Op(r) != "GetObject" || resp.StatusCode != http.StatusOK {
			return resp, err
		}
		whole, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		return replace(resp, whole[:len(whole)/2]), resp.Body.Close()
	})
}

// Stale is the behaviour of a store whose answers to an operation are as old as age: an answer that
// was given once for a URL is given again until then.
func Stale(op string, age time.Duration) func(http.RoundTripper) http.RoundTripper {
	type kept struct {
		resp *http.Response
		body []byte
		at   time.Time
	}
	var (
		mu   sync.Mutex
		seen = map[string]kept{}
	)
	return func(next http.RoundTripper) http.RoundTripper {
		return RoundTripper(func(r *http.Request) (*http.Response, error) {
			if Op(r) != op {
				return next.RoundTrip(r)
			}
			id := r.URL.Path + "?" + r.URL.RawQuery
			mu.Lock()
			old, ok := seen[id]
			mu.Unlock()
			if ok && time.Since(old.at) < age {
				resp := *old.resp
				return replace(&resp, old.body), nil
			}
			resp, err := next.RoundTrip(r)
			if err != nil || resp.StatusCode != http.StatusOK {
				return resp, err
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return nil, err
			}
			if err := resp.Body.Close(); err != nil {
				return nil, err
			}
			mu.Lock()
			seen[id] = kept{resp, body, time.Now()}
			mu.Unlock()
			copied := *resp
			return replace(&copied, body), nil
		})
	}
}

// RacyHeader is the behaviour of a store that checks a condition and writes in two steps: it looks at
// the key, waits, and writes without the condition.
func RacyHeader(name string, wait time.Duration) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return RoundTripper(func(r *http.Request) (*http.Response, error) {
			cond := r.Header.Get(name)
			if cond == "" || Op(r) != "PutObject" {
				return next.RoundTrip(r)
			}
			look := r.Clone(r.Context())
			look.Method, look.Body, look.ContentLength = http.MethodHead, nil, 0
			for _, h := range []string{name, "Content-Length", "Content-Type", "Transfer-Encoding"} {
				look.Header.Del(h)
			}
			head, err := next.RoundTrip(look)
			if err != nil {
				return nil, err
			}
			if err := head.Body.Close(); err != nil {
				return nil, err
			}
			there := head.StatusCode == http.StatusOK
			if holds := cond == "*" && !there || cond != "*" && there && head.Header.Get("Etag") == cond; !holds {
				drain(r)
				return answer(r, http.StatusPreconditionFailed, "PreconditionFailed"), nil
			}
			time.Sleep(wait)
			r.Header.Del(name)
			return next.RoundTrip(r)
		})
	}
}

// Overtaken is the behaviour of a store that answers the first few writes of each key as a gateway over a file system does whose folder for it
// vanishes meanwhile: nothing is written.
func Overtaken(times int) func(http.RoundTripper) http.RoundTripper {
	var (
		mu   sync.Mutex
		seen = map[string]int{}
	)
	return func(next http.RoundTripper) http.RoundTripper {
		return RoundTripper(func(r *http.Request) (*http.Response, error) {
			if Op(r) != "PutObject" {
				return next.RoundTrip(r)
			}
			mu.Lock()
			seen[r.URL.Path]++
			n := seen[r.URL.Path]
			mu.Unlock()
			if n > times {
				return next.RoundTrip(r)
			}
			drain(r)
			return answer(r, http.StatusConflict, "ExistingObjectIsDirectory"), nil
		})
	}
}

func replace(resp *http.Response, body []byte) *http.Response {
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if resp.Request.Method != http.MethodHead {
		resp.ContentLength = int64(len(body))
		resp.Header = resp.Header.Clone()
		resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	return resp
}

// cut breaks a body off after some bytes.
type cut struct {
	io.ReadCloser
	rest int64
}

func (c *cut) Read(p []byte) (int, error) {
	if c.rest <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.rest)])
	c.rest -= int64(n)
	return n, err
}
