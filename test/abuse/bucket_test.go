package abuse

import (
	"bytes"
	"crypto/rand"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"holdfast/internal/s3/s3test"
	"holdfast/test/cluster"
)

// gateways are those of the main site, or of HOLDFAST_TEST_S3, or ones that are started.
func (w *world) gateways(a *attack) []string {
	a.Helper()
	w.s3Once.Do(func() {
		if w.s3 = w.main.S3; len(w.s3) > 0 {
			return
		}
		running, err := cluster.ParseEnv(os.Getenv(s3test.Variable))
		if err != nil {
			a.Fatal(err)
		}
		if w.s3 = running[cluster.VersityGW]; len(w.s3) > 0 {
			return
		}
		servers, err := cluster.StartS3(w.ctx, nil, cluster.VersityGW)
		if err != nil {
			a.Fatal(err)
		}
		w.cleanup(func() { _ = servers.Stop() })
		w.s3 = servers.URLs[cluster.VersityGW]
	})
	if len(w.s3) == 0 {
		a.Fatal("no S3 server")
	}
	return w.s3
}

// bucket is a configuration for a new bucket, or the one that is named, at an endpoint.
func (a *attack) bucket(endpoint string, change map[string]any) map[string]any {
	a.Helper()
	cfg := a.local()
	driver := map[string]any{
		"name": "s3", "rootdirectory": "/zot", "region": cluster.Region, "regionendpoint": endpoint, "accesskey": cluster.AccessKey, "secretkey": cluster.SecretKey,
	}
	for name, value := range change {
		driver[name] = value
	}
	if driver["bucket"] == nil {
		name := "abuse-" + strings.ToLower(rand.Text()[:12])
		if err := cluster.CreateBucket(a.Context(), a.gateways(a)[0], name); err != nil {
			a.Fatal(err)
		}
		driver["bucket"] = name
	}
	cfg["storage"].(map[string]any)["storageDriver"] = driver
	return cfg
}

// behaving is an S3 server that answers as behave says, and else as the real one.
func (a *attack) behaving(behave func(http.RoundTripper) http.RoundTripper) string {
	a.Helper()
	return s3test.Server{Name: cluster.VersityGW, Endpoints: a.gateways(a)}.Proxy(a.T, behave).Endpoints[0]
}

// failing answers requests that it is for with an error of S3.
func failing(is func(*http.Request) bool, status int, code string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return s3test.RoundTripper(func(r *http.Request) (*http.Response, error) {
			if !is(r) {
				return next.RoundTrip(r)
			}
			if r.Body != nil {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			body := `<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code + `</Code><Message>no</Message></Error>`
			return &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
				Header: http.Header{"Content-Type": {"application/xml"}}, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}, nil
		})
	}
}

// telling answers a question about a bucket.
func telling(query, body string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return s3test.RoundTripper(func(r *http.Request) (*http.Response, error) {
			if !r.URL.Query().Has(query) || r.Method != http.MethodGet {
				return next.RoundTrip(r)
			}
			return &http.Response{StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
				Header: http.Header{"Content-Type": {"application/xml"}}, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}, nil
		})
	}
}

func always(*http.Request) bool { return true }

func op(names ...string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		for _, name := range names {
			if s3test.Op(r) == name {
				return true
			}
		}
		return false
	}
}

// bucketRows are buckets, credentials and caches that an operator has wrong.
func bucketRows() []row {
	return []row{
		{number: "B77", name: "no bucket, another region, no TLS, no answer", at: once, run: func(a *attack) {
			real := a.gateways(a)[0]
			a.refuses(a.config(a.bucket(real, map[string]any{"bucket": "nobodys-bucket-" + a.word})), `no bucket "nobodys-bucket`, regexp.QuoteMeta(real))
			a.refuses(a.config(a.bucket(a.behaving(failing(always, 400, "AuthorizationHeaderMalformed")), nil)), "AuthorizationHeaderMalformed", "region")
			a.refuses(a.config(a.bucket(a.behaving(failing(always, 301, "PermanentRedirect")), nil)), "region")
			a.refuses(a.config(a.bucket(strings.Replace(real, "http://", "https://", 1), nil)), "TLS", "plain HTTP")
			p := a.serve(a.config(a.bucket("http://127.0.0.1:1", map[string]any{"bucket": "b"})))
			b := a.at(p.address)
			b.ask("", "GET /livez").is(200)
			if ans := b.ask("", "HEAD /readyz"); ans.Status != 503 {
				a.Errorf("/readyz is %d without a store", ans.Status)
			}
			b.ask("", "GET /v2/").is(503, "UNAVAILABLE").has("Retry-After:")
		}},
		{number: "B78", name: "credentials that are wrong, old, or may not", at: once, run: func(a *attack) {
			a.refuses(a.config(a.bucket(a.gateways(a)[0], map[string]any{"secretkey": "canary-secret"})), "SignatureDoesNotMatch|InvalidAccessKeyId", "secretkey")
			a.refuses(a.config(a.bucket(a.gateways(a)[0], map[string]any{"accesskey": "nobody", "secretkey": "canary-secret"})), "does not take the credentials")
			a.refuses(a.config(a.bucket(a.behaving(failing(always, 403, "RequestTimeTooSkewed")), nil)), "RequestTimeTooSkewed|clock", "clock")
			a.refuses(a.config(a.bucket(a.behaving(failing(always, 400, "ExpiredToken")), nil)), "ExpiredToken")
			for permission, is := range map[string]func(*http.Request) bool{
				"s3:PutObject": op("PutObject"), "s3:GetObject": op("GetObject"), "s3:ListBucket": op("ListObjectsV2"),
			} {
				a.refuses(a.config(a.bucket(a.behaving(failing(is, 403, "AccessDenied")), nil)), permission, "may not")
			}
		}},
		{number: "B79", name: "a store that does not honour conditions", at: once, run: func(a *attack) {
			for _, name := range []string{"If-None-Match", "If-Match"} {
				a.refuses(a.config(a.bucket(a.behaving(s3test.IgnoreHeader(name)), nil)), "ignores "+name, `AWS|Ceph|versitygw|SeaweedFS|RustFS|Garage`)
			}
			a.refuses(a.config(a.bucket(a.behaving(s3test.Stale("ListObjectsV2", 20*time.Second)), nil)), "list")
		}},
		{number: "B80", name: "a bucket that keeps all, or loses what is in it", at: once, run: func(a *attack) {
			const ns = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`
			a.refuses(a.config(a.bucket(a.behaving(telling("object-lock", `<ObjectLockConfiguration`+ns+`><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>`)), nil)),
				"object lock")
			a.refuses(a.config(a.bucket(a.behaving(telling("lifecycle", `<LifecycleConfiguration`+ns+`><Rule><ID>old</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter><Expiration><Days>30</Days></Expiration></Rule></LifecycleConfiguration>`)), nil)),
				"lifecycle", "expires")
			p := a.serve(a.config(a.bucket(a.behaving(telling("versioning", `<VersioningConfiguration`+ns+`><Status>Enabled</Status></VersioningConfiguration>`)), nil)))
			p.says(a, 40*time.Second, "versioned")
		}},
		{number: "B84", name: "a Redis that is not there", at: once, run: func(a *attack) {
			cfg := a.bucket(a.gateways(a)[0], nil)
			cfg["storage"].(map[string]any)["cacheDriver"] = map[string]any{"name": "redis", "url": "redis://:canary-redis@127.0.0.1:1"}
			p := a.serve(a.config(cfg))
			a.at(p.address).ask("", "GET /v2/").is(200)
			p.says(a, 40*time.Second, "the shared cache does not answer.*redis")
			a.noCanary(p.text(a), "canary-redis")
		}},
		{number: "B85", name: "a Redis that answers nonsense", at: once, run: func(a *attack) {
			var mu sync.Mutex
			asked := 0
			address := a.nonsense(func() { mu.Lock(); asked++; mu.Unlock() })
			cfg := a.bucket(a.gateways(a)[0], nil)
			cfg["storage"].(map[string]any)["cacheDriver"] = map[string]any{"name": "redis", "url": "redis://" + address}
			b := a.at(a.serve(a.config(cfg)).address)
			b.do("", "POST /v2/x/blobs/uploads/?digest="+digest("x"), "x", octets).is(201)
			b.ask("", "GET /v2/x/blobs/"+digest("x")).is(200).holds("x")
			mu.Lock()
			defer mu.Unlock()
			a.measured("it was asked %d times", asked)
		}},
		{number: "B86", name: "a table of DynamoDB that is not there", at: once, run: func(a *attack) {
			cfg := a.bucket(a.gateways(a)[0], nil)
			cfg["storage"].(map[string]any)["cacheDriver"] = map[string]any{"name": "dynamodb", "endpoint": "http://127.0.0.1:1", "region": "us-east-2", "cacheTablename": "nothing"}
			p := a.serve(a.config(cfg))
			b := a.at(p.address)
			b.do("", "POST /v2/x/blobs/uploads/?digest="+digest("x"), "x", octets).is(201)
			p.says(a, 40*time.Second, "the shared cache does not answer.*nothing")
		}},
	}
}

// laterFormat serves a bucket, then writes that its format is a later one.
func laterFormat(a *attack) {
	a.Helper()
	cfg := a.bucket(a.gateways(a)[0], nil)
	p := a.serve(a.config(cfg))
	a.at(p.address).ask("", "GET /v2/").is(200)
	_ = p.cmd.Process.Kill()
	client := awss3.New(awss3.Options{
		BaseEndpoint: aws.String(a.gateways(a)[0]), Region: cluster.Region, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(cluster.AccessKey, cluster.SecretKey, ""),
	})
	bucket := aws.String(cfg["storage"].(map[string]any)["storageDriver"].(map[string]any)["bucket"].(string))
	key := aws.String("zot/holdfast/cfg/format")
	get := func() []byte {
		a.Helper()
		out, err := client.GetObject(a.Context(), &awss3.GetObjectInput{Bucket: bucket, Key: key})
		if err != nil {
			a.Fatal(err)
		}
		text, err := io.ReadAll(out.Body)
		_ = out.Body.Close()
		if err != nil {
			a.Fatal(err)
		}
		return text
	}
	text := get()
	later := regexp.MustCompile(`"format":\d+`).ReplaceAll(text, []byte(`"format":9`))
	if bytes.Equal(text, later) {
		a.Fatalf("the record of the format has none: %s", clip(string(text)))
	}
	if _, err := client.PutObject(a.Context(), &awss3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(later)}); err != nil {
		a.Fatal(err)
	}
	a.refuses(a.config(cfg), "9", "format|layout|version")
	if !bytes.Equal(get(), later) {
		a.Error("it wrote to a store of a later format")
	}
}
