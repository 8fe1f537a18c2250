package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWireEndpoints: where requests go to, by the configuration; what is not one region's bucket is refused.
func TestWireEndpoints(t *testing.T) {
	yes, no := true, false
	for name, test := range map[string]struct {
		cfg    Config
		target string // or what is wrong
	}{
		"AWS":                 {Config{Bucket: "images", Region: "eu-west-1"}, "https://images.s3.eu-west-1.amazonaws.com/holdfast/a%20b/%C3%BC%2B"},
		"AWS, path style":     {Config{Bucket: "images", Region: "eu-west-1", ForcePathStyle: &yes}, "https://s3.eu-west-1.amazonaws.com/images/holdfast/a%20b/%C3%BC%2B"},
		"AWS, dual stack":     {Config{Bucket: "images", Region: "eu-west-1", UseDualstack: true}, "https://images.s3.dualstack.eu-west-1.amazonaws.com/holdfast/a%20b/%C3%BC%2B"},
		"AWS, FIPS":           {Config{Bucket: "images", Region: "us-east-1", UseFIPS: true}, "https://images.s3-fips.us-east-1.amazonaws.com/holdfast/a%20b/%C3%BC%2B"},
		"AWS, accelerated":    {Config{Bucket: "images", Region: "eu-west-1", Accelerate: true}, "https://images.s3-accelerate.amazonaws.com/holdfast/a%20b/%C3%BC%2B"},
		"another store":       {Config{Bucket: "images", Endpoint: "http://store:9000"}, "http://store:9000/images/holdfast/a%20b/%C3%BC%2B"},
		"with a path":         {Config{Bucket: "images", Endpoint: "http://store:9000/s3/"}, "http://store:9000/s3/images/holdfast/a%20b/%C3%BC%2B"},
		"in the host":         {Config{Bucket: "images", Endpoint: "https://store.example", ForcePathStyle: &no}, "https://images.store.example/holdfast/a%20b/%C3%BC%2B"},
		"a root directory":    {Config{Bucket: "images", Endpoint: "http://store", RootDirectory: "/team one/"}, "http://store/images/team%20one/holdfast/a%20b/%C3%BC%2B"},
		"S3 Express":          {Config{Bucket: "images--use1-az4--x-s3", Region: "us-east-1"}, "signatures of kind sigv4-s3express"},
		"all regions at once": {Config{Bucket: "arn:aws:s3::123456789012:accesspoint:mfzwi23gnjvgw.mrap", Region: "us-east-1"}, "signatures of kind sigv4a"},
	} {
		t.Run(name, func(t *testing.T) {
			var target string
			test.cfg.AccessKey, test.cfg.SecretKey = "a", "s"
			test.cfg.Transport = func(http.RoundTripper) http.RoundTripper {
				return roundTripper(func(r *http.Request) (*http.Response, error) {
					target = r.URL.String()
					return reply(200, ""), nil
				})
			}
			c, err := New(t.Context(), test.cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				target = err.Error()
			} else if _, err = c.PutValue(t.Context(), "a b/ü+", nil, Condition{}); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(target, test.target) {
				t.Errorf("%s, want %s", target, test.target)
			}
		})
	}
}

// TestWireRequests: what of the configuration and the operation is in a request. Small values are signed where TLS does not protect them, segments never.
func TestWireRequests(t *testing.T) {
	var seen *http.Request
	client := func(endpoint string) *Client {
		c, err := New(t.Context(), Config{
			Endpoint: endpoint, Bucket: "b", AccessKey: "a", SecretKey: "s", SessionToken: "t", StorageClass: "onezone_ia", Encrypt: true, KeyID: "k", UserAgent: "me/1",
			Transport: func(http.RoundTripper) http.RoundTripper {
				return roundTripper(func(r *http.Request) (*http.Response, error) {
					seen = r
					return reply(200, ""), nil
				})
			},
		}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	sum := sha256.Sum256([]byte("value"))
	plain, encrypted := client("http://store"), client("https://store")
	value := func(c *Client) error {
		_, err := c.PutValue(t.Context(), "k", []byte("value"), Condition{Match: `"v"`})
		return err
	}
	for name, test := range map[string]struct {
		send func() error
		want map[string]string // "-": absent
	}{
		"a value": {func() error { return value(plain) }, map[string]string{
			"If-Match": `"v"`, "If-None-Match": "-", "X-Amz-Content-Sha256": hex.EncodeToString(sum[:]), "X-Amz-Storage-Class": "-",
			"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "k", "X-Amz-Security-Token": "t", "Content-Type": "application/octet-stream",
		}},
		"a value over TLS": {func() error { return value(encrypted) }, map[string]string{"X-Amz-Content-Sha256": unsignedPayload}},
		"a segment": {func() error {
			_, err := plain.PutObject(t.Context(), "k", [][]byte{[]byte("va"), []byte("lue")}, 5)
			return err
		}, map[string]string{"X-Amz-Content-Sha256": unsignedPayload, "X-Amz-Storage-Class": "ONEZONE_IA", "X-Amz-Server-Side-Encryption": "aws:kms", "If-Match": "-"}},
		"a part": {func() error {
			_, err := plain.UploadPart(t.Context(), "k", "u&1", 7, [][]byte{[]byte("value")}, 5)
			return err
		}, map[string]string{"X-Amz-Content-Sha256": unsignedPayload, "X-Amz-Storage-Class": "-", "X-Amz-Server-Side-Encryption": "-", "query": "partNumber=7&uploadId=u%261"}},
		"a range": {func() error {
			_, _ = plain.Get(t.Context(), "k", 5, 3) // the fake store ignores it
			return nil
		}, map[string]string{"Range": "bytes=5-7", "X-Amz-Content-Sha256": emptyHash}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.send(); err != nil {
				t.Fatal(err)
			}
			test.want["User-Agent"] = seen.UserAgent()
			if !strings.HasSuffix(seen.UserAgent(), " me/1") {
				t.Errorf("User-Agent %q", seen.UserAgent())
			}
			for name, want := range test.want {
				got := seen.Header.Get(name)
				if name == "query" {
					got = seen.URL.RawQuery
				}
				if got == "" {
					got = "-"
				}
				if got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if auth := seen.Header.Get("Authorization"); !strings.Contains(auth, "/us-east-1/s3/aws4_request") || strings.Contains(auth, "accept-encoding") {
				t.Errorf("Authorization: %s", auth)
			}
		})
	}
}

// TestWireFails: a store that says 200 and then that it failed has failed; and so has one that answers with no time.
func TestWireFails(t *testing.T) {
	for name, answer := range map[string]func() *http.Response{
		"200 and an error": func() *http.Response { return fault(200, "InternalError") },
		"no time": func() *http.Response {
			r := reply(200, "")
			r.Header.Set("Last-Modified", "never")
			return r
		},
	} {
		c := fakeClient(t, func(*http.Request) (*http.Response, error) { return answer(), nil })
		if _, err := c.PutValue(t.Context(), "k", []byte("v"), Condition{Absent: true}); err == nil || KindOf(err) != Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWireUnderstands: an answer counts as it did with the SDK, where stores and proxies take liberties.
func TestWireUnderstands(t *testing.T) {
	header := func(r *http.Response, name, value string) *http.Response {
		r.Header.Set(name, value)
		return r
	}
	for name, test := range map[string]struct {
		answer func() *http.Response
		kind   Kind   // -1: it is a value
		says   string // of the error
	}{
		"a day of one digit": {func() *http.Response { return header(reply(200, "v"), "Last-Modified", "Mon, 2 Jan 2006 15:04:05 GMT") }, -1, ""},
		"no content":         {func() *http.Response { return reply(204, "") }, Unavailable, "no length"},
		"a proxy's page":     {func() *http.Response { return reply(503, "<html></html>") }, Unavailable, "503 ServiceUnavailable"},
		"its 404":            {func() *http.Response { return reply(404, "no such page") }, Unavailable, "404 NotFound"},
		"nothing said":       {func() *http.Response { return reply(403, "") }, Denied, "403 Forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := fakeClient(t, func(*http.Request) (*http.Response, error) { return test.answer(), nil })
				value, info, err := c.GetValue(t.Context(), "k", 10)
				switch {
				case test.kind == -1:
					if err != nil || string(value) != "v" || info.Modified != time.Date(2006, 1, 2, 15, 4, 5, 0, time.UTC) {
						t.Errorf("%q, %+v, %v", value, info, err)
					}
				case err == nil || KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says):
					t.Errorf("%q, %v", value, err)
				}
			})
		})
	}
}

// TestWireReusesConnections: an answer is read to its end, whatever it says, so that its connection serves the next request.
func TestWireReusesConnections(t *testing.T) {
	from := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from[r.RemoteAddr] = true
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Etag", `"e"`)
		switch {
		case strings.HasSuffix(r.URL.Path, "absent"):
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>")
		case r.Method == http.MethodGet:
			w.Header().Set("Content-Length", "10000")
			_, _ = io.WriteString(w, strings.Repeat("v", 10_000))
		}
	}))
	defer server.Close()
	c, err := New(t.Context(), Config{Endpoint: server.URL, Bucket: "b", AccessKey: "a", SecretKey: "s"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 20 {
		if _, err := c.PutValue(t.Context(), fmt.Sprint(i), []byte("v"), Condition{Absent: true}); err != nil {
			t.Fatal(err)
		}
		if value, _, err := c.GetValue(t.Context(), "k", 1<<20); err != nil || len(value) != 10_000 {
			t.Fatal(len(value), err)
		}
		if _, _, err := c.GetValue(t.Context(), "absent", 1<<20); KindOf(err) != NotFound {
			t.Fatal(err)
		}
	}
	if len(from) != 1 {
		t.Errorf("60 requests, one after the other, over %d connections", len(from))
	}
}

// BenchmarkPutValue is a small value over loopback, the store's part included.
func BenchmarkPutValue(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Etag", `"e"`)
	}))
	defer server.Close()
	c, err := New(b.Context(), Config{Endpoint: server.URL, Bucket: "b", AccessKey: "a", SecretKey: "s"}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	value := make([]byte, 400)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.PutValue(b.Context(), "k", value, Condition{Absent: true}); err != nil {
			b.Fatal(err)
		}
	}
}
