package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyauth "github.com/aws/smithy-go/auth"
	"github.com/aws/smithy-go/encoding/httpbinding"
	smithytime "github.com/aws/smithy-go/time"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// wire sends the five requests that nearly all traffic consists of: PutObject, UploadPart, GetObject, HeadObject and ListObjectsV2. The SDK resolves
// the endpoint, finds the credentials and signs; what it does beside that for each request, some thirty steps that are the
// same every time, cost several times as much as the request. Its errors are the SDK's types. Safe for concurrent use.
type wire struct {
	transport   http.RoundTripper
	base        url.URL // of the bucket; its path without a slash at its end
	signer      *signer
	name        string // of the service and the region, in signatures
	region      string
	credentials aws.CredentialsProvider
	userAgent   string
}

// maxErrorBody is the most that is read of an answer that says what went wrong.
const maxErrorBody = 64 << 10

// unsignedPayload in place of its SHA-256: the payload is not in the signature.
const unsignedPayload = "UNSIGNED-PAYLOAD"

// newWire asks the SDK where the bucket is. Errors: a bucket with another kind of signature than SigV4. Those of S3 Express list their keys in no
// order, and those behind an access point for several regions are not consistent, so that nothing is lost with them.
func newWire(ctx context.Context, sdk *s3.Client, signer *signer, transport http.RoundTripper, cfg Config) (*wire, error) {
	o := sdk.Options()
	endpoint, err := o.EndpointResolverV2.ResolveEndpoint(ctx, s3.EndpointParameters{
		Bucket: aws.String(cfg.Bucket), Region: aws.String(o.Region), Endpoint: o.BaseEndpoint,
		UseFIPS:                        aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack:                   aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
		ForcePathStyle:                 aws.Bool(o.UsePathStyle),
		Accelerate:                     aws.Bool(o.UseAccelerate),
		DisableMultiRegionAccessPoints: aws.Bool(o.DisableMultiRegionAccessPoints),
		UseArnRegion:                   aws.Bool(o.UseARNRegion),
	})
	if err != nil {
		return nil, fmt.Errorf("s3: find the endpoint of bucket %s: %w", cfg.Bucket, err)
	}
	w := &wire{
		transport: transport, base: endpoint.URI, signer: signer, name: "s3", region: o.Region, credentials: o.Credentials,
		userAgent: strings.TrimSpace("aws-sdk-go-v2/" + aws.SDKVersion + " " + cfg.UserAgent),
	}
	w.base.Path, w.base.RawPath = strings.TrimSuffix(endpoint.URI.Path, "/"), ""
	schemes, _ := smithyauth.GetAuthOptions(&endpoint.Properties)
	for _, scheme := range schemes {
		if scheme.SchemeID != smithyauth.SchemeIDSigV4 && scheme.SchemeID != "sigv4" { // the rules for endpoints have the short name
			return nil, fmt.Errorf("s3: bucket %s: it wants signatures of kind %s: only buckets of one region, and none of S3 Express, can hold a registry", cfg.Bucket, scheme.SchemeID)
		}
		if name, ok := smithyhttp.GetSigV4SigningName(&scheme.SignerProperties); ok {
			w.name = name
		}
		if region, ok := smithyhttp.GetSigV4SigningRegion(&scheme.SignerProperties); ok {
			w.region = region
		}
	}
	return w, nil
}

// over returns a wire that sends by another transport.
func (w *wire) over(transport http.RoundTripper) *wire {
	other := *w
	other.transport = transport
	return &other
}

// call is one request.
type call struct {
	op     string
	method string
	key    string // in the bucket; "": the bucket itself
	query  string // encoded
	header http.Header
	body   io.Reader // nil: none
	size   int64     // of body
	hash   string    // SHA-256 of body; "": it is not in the signature
}

// answer is what a 2xx says.
type answer struct {
	etag     string // as the store gave it
	size     int64  // of the body, or of what a HEAD would have; -1: not said
	span     string // Content-Range, "" without one
	modified time.Time
	date     time.Time     // of the answer; zero: not said
	body     io.ReadCloser // of a GET; the caller closes it
}

// do sends a call once, and returns its answer. Errors are the SDK's: a ResponseError for what is not a 2xx, a RequestSendError for what was
// not answered.
func (w *wire) do(ctx context.Context, c call) (*answer, error) {
	req, err := w.request(ctx, c)
	if err != nil {
		return nil, err
	}
	res, err := w.transport.RoundTrip(req)
	if err != nil {
		return nil, &smithyhttp.RequestSendError{Err: err}
	}
	if res.StatusCode < 200 || res.StatusCode >= 300 {
		err := refusal(c.op, res)
		_ = res.Body.Close() // of an answer that failed
		return nil, err
	}
	a := &answer{etag: res.Header.Get("Etag"), size: res.ContentLength, span: res.Header.Get("Content-Range")}
	if res.StatusCode == http.StatusNoContent {
		a.size = -1 // it is not an empty object
	}
	if text := res.Header.Get("Last-Modified"); text != "" {
		if a.modified, err = smithytime.ParseHTTPDate(text); err != nil {
			_ = res.Body.Close() // of an answer that is none
			return nil, responseError(res, fmt.Errorf("s3: %s: the time %q: %w", c.op, text, err))
		}
	}
	if date, err := smithytime.ParseHTTPDate(res.Header.Get("Date")); err == nil {
		a.date = date.UTC()
	}
	if c.method == http.MethodGet {
		a.body = res.Body
		return a, nil
	}
	return a, finish(c.op, res)
}

// finish reads an answer to its end, which is empty but for a store that says 200 and then what went wrong.
func finish(op string, res *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxErrorBody))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return &smithyhttp.RequestSendError{Err: err}
	}
	if code, message, ok := parseError(body); ok {
		res.StatusCode = http.StatusInternalServerError
		return responseError(res, &smithy.OperationError{OperationName: op, Err: &smithy.GenericAPIError{Code: code, Message: message}})
	}
	return nil
}

// request makes and signs a request.
func (w *wire) request(ctx context.Context, c call) (*http.Request, error) {
	target := w.base
	if c.key != "" || target.Path == "" {
		target.Path += "/" + c.key
	}
	target.RawPath = httpbinding.EscapePath(target.Path, false)
	target.RawQuery = c.query
	req := (&http.Request{
		Method: c.method, URL: &target, Host: target.Host, Header: c.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	hash := emptyHash
	if c.body != nil {
		if hash = c.hash; hash == "" {
			hash = unsignedPayload
		}
		req.ContentLength = c.size
		req.Body = http.NoBody
		if c.size > 0 {
			req.Body = io.NopCloser(c.body)
		}
	}
	req.Header.Set("X-Amz-Content-Sha256", hash)
	req.Header.Set("User-Agent", w.userAgent)
	keys, err := w.credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("s3: %s: find credentials: %w", c.op, err)
	}
	if err := w.signer.SignHTTP(ctx, keys, req, hash, w.name, w.region, time.Now()); err != nil {
		return nil, fmt.Errorf("s3: %s: sign: %w", c.op, err)
	}
	req.Header.Set("Accept-Encoding", "identity") // not signed: proxies change it
	return req, nil
}

// sign returns the hash of a value, for a call that has it in its signature; "" where TLS protects it.
func (w *wire) sign(value []byte) string {
	if w.base.Scheme == "https" {
		return ""
	}
	sum := sha256.Sum256(value)
	return hex.EncodeToString(sum[:])
}

// emptyHash is the SHA-256 of nothing.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// refusal is what an answer other than 2xx says.
func refusal(op string, res *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorBody)) // what came of it: the status counts
	code, message, ok := parseError(body)
	if !ok || code == "" && message == "" { // as after a HEAD, or a proxy's page: S3's words for most of these are the same
		message = http.StatusText(res.StatusCode)
		code = strings.ReplaceAll(message, " ", "")
	}
	return responseError(res, &smithy.OperationError{OperationName: op, Err: &smithy.GenericAPIError{Code: code, Message: message}})
}

func responseError(res *http.Response, err error) error {
	return &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: res}, Err: err}
}

// parseError reads S3's form of an error; ok is false for anything else.
func parseError(body []byte) (code, message string, ok bool) {
	if len(body) == 0 {
		return "", "", false
	}
	var parsed struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}
	if err := xml.NewDecoder(bytes.NewReader(body)).Decode(&parsed); err != nil {
		return "", "", false
	}
	return parsed.Code, parsed.Message, true
}

// headers returns room for a request's headers, with pairs of those that are not empty.
func headers(pairs ...string) http.Header {
	h := make(http.Header, len(pairs)/2+6)
	for ; len(pairs) >= 2; pairs = pairs[2:] {
		if name, value := pairs[0], pairs[1]; value != "" {
			h[name] = []string{value}
		}
	}
	return h
}
