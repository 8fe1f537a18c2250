package s3

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// presigner makes URLs for a GET of an object, signed with AWS Signature Version 4 in the query. Where the bucket is, what the query has besides, and the region
// and the service to sign for it learns from the first URL, which the SDK makes: so all that the SDK knows of endpoints counts. All others it signs itself, with a
// key that it derives once a day, in a twentieth of the SDK's time. Safe for concurrent use.
type presigner struct {
	sdk         *s3.PresignClient
	credentials aws.CredentialsProvider
	form        atomic.Pointer[urlForm]
	key         atomic.Pointer[signingKey]
}

// Names of the query that say how a URL is signed.
const (
	queryAlgorithm  = "X-Amz-Algorithm"
	queryCredential = "X-Amz-Credential" //nolint:gosec // G101: the name of a parameter
	queryDate       = "X-Amz-Date"
	queryExpires    = "X-Amz-Expires"
	queryToken      = "X-Amz-Security-Token" //nolint:gosec // G101: the same
	querySignature  = "X-Amz-Signature"

	algorithm = "AWS4-HMAC-SHA256"
	amzDate   = "20060102T150405Z"
)

// urlForm is what all URLs of a bucket have alike.
type urlForm struct {
	origin string      // scheme and host
	host   string      // as it is signed: without a port that is the scheme's own
	path   string      // escaped, up to the key
	query  [][2]string // in the order of the names, names and values escaped; "" where the value differs
	scope  string      // /region/service/aws4_request
}

// signingKey is a key derived for a day.
type signingKey struct {
	day, secret, scope string
	key                []byte
}

// url returns a URL for a GET of the object until ttl after at.
func (p *presigner) url(ctx context.Context, bucket, key string, ttl time.Duration, at time.Time) (string, error) {
	form := p.form.Load()
	if form == nil {
		var err error
		if form, err = p.learn(ctx, bucket); err != nil {
			return "", err
		}
		p.form.Store(form)
	}
	who, err := p.credentials.Retrieve(ctx)
	if err != nil {
		return "", fmt.Errorf("s3: presign: %w", err)
	}
	return form.sign(key, who, p.keyOf(who, form.scope, at), ttl, at), nil
}

// bySDK is url as the SDK makes it, for now.
func (p *presigner) bySDK(ctx context.Context, bucket, key string, ttl time.Duration) (string, error) {
	req, err := p.sdk.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key, ResponseContentType: aws.String(contentType)}, s3.WithPresignExpires(ttl))
	if err != nil {
		return "", err
	}
	return req.URL, nil
}

// errForm: buckets whose URLs are not signed with SigV4 are refused when the client is made.
var errForm = errors.New("s3: presign: the SDK signs the bucket's URLs in a way that is not known here")

// learn asks the SDK for a URL and takes it apart. Errors: errForm.
func (p *presigner) learn(ctx context.Context, bucket string) (*urlForm, error) {
	const key = "k"
	text, err := p.bySDK(ctx, bucket, key, time.Minute)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("s3: presign: %w", err)
	}
	q := u.Query()
	path, found := strings.CutSuffix(u.EscapedPath(), "/"+key)
	who := strings.Split(q.Get(queryCredential), "/") // the access key, in which there may be slashes, day, region, service, aws4_request
	if q.Get(queryAlgorithm) != algorithm || q.Get("X-Amz-SignedHeaders") != "host" || !found || len(who) < 5 {
		return nil, errForm
	}
	form := &urlForm{origin: u.Scheme + "://" + u.Host, host: u.Host, path: path + "/", scope: "/" + strings.Join(who[len(who)-3:], "/")}
	if port := u.Port(); u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" {
		form.host = strings.TrimSuffix(u.Host, ":"+port)
	}
	q.Del(querySignature)
	q.Set(queryToken, "")
	for name, values := range q {
		if len(values) != 1 {
			return nil, errForm
		}
		value := escapeURL(values[0], false)
		switch name {
		case queryCredential, queryDate, queryExpires:
			value = ""
		}
		form.query = append(form.query, [2]string{escapeURL(name, false), value})
	}
	slices.SortFunc(form.query, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return form, nil
}

// keyOf returns the key to sign with, by the day of at.
func (p *presigner) keyOf(who aws.Credentials, scope string, at time.Time) []byte {
	day := at.UTC().Format("20060102")
	if k := p.key.Load(); k != nil && k.day == day && k.secret == who.SecretAccessKey && k.scope == scope {
		return k.key
	}
	key := []byte("AWS4" + who.SecretAccessKey)
	for part := range strings.SplitSeq(day+scope, "/") {
		key = mac(key, part)
	}
	p.key.Store(&signingKey{day: day, secret: who.SecretAccessKey, scope: scope, key: key})
	return key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// sign returns the URL of an object.
func (f *urlForm) sign(key string, who aws.Credentials, signing []byte, ttl time.Duration, at time.Time) string {
	at = at.UTC()
	when := at.Format(amzDate)
	day := when[:len("20060102")]
	path := f.path + escapeURL(key, true)
	var query strings.Builder
	query.Grow(512 + 2*len(who.SessionToken))
	for _, pair := range f.query {
		value := pair[1]
		switch pair[0] {
		case queryCredential:
			value = escapeURL(who.AccessKeyID+"/"+day+f.scope, false)
		case queryDate:
			value = when
		case queryExpires:
			value = strconv.FormatInt(int64(ttl/time.Second), 10)
		case queryToken:
			if value = escapeURL(who.SessionToken, false); value == "" {
				continue
			}
		}
		if query.Len() > 0 {
			query.WriteByte('&')
		}
		query.WriteString(pair[0])
		query.WriteByte('=')
		query.WriteString(value)
	}
	asked := sha256.Sum256([]byte("GET\n" + path + "\n" + query.String() + "\nhost:" + f.host + "\n\nhost\nUNSIGNED-PAYLOAD"))
	signature := mac(signing, algorithm+"\n"+when+"\n"+day+f.scope+"\n"+hex.EncodeToString(asked[:]))
	return f.origin + path + "?" + query.String() + "&" + querySignature + "=" + hex.EncodeToString(signature)
}

// escapeURL percent-encodes all but the unreserved characters of RFC 3986, and slashes where they are kept, as a signature wants it.
func escapeURL(s string, slashes bool) string {
	plain := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~' || slashes && c == '/'
	}
	more := 0
	for i := range len(s) {
		if !plain(s[i]) {
			more += 2
		}
	}
	if more == 0 {
		return s
	}
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, len(s)+more)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(out)
}

// Presign returns a URL for a GET of the object until ttl has passed, in whole seconds. It makes no request to the store.
func (c *Client) Presign(ctx context.Context, key string, ttl time.Duration) (string, error) {
	text, err := c.presign.url(ctx, c.cfg.Bucket, c.base+key, ttl, time.Now())
	if err != nil {
		return "", newError("presign", err)
	}
	return text, nil
}
