package load

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"golang.org/x/sync/errgroup"
)

// S3 are the same clients without a registry, at the S3 server itself: the limit. Requests are signed beforehand where they can be, and
// their payload is not: this is the least that a client of S3 can do. Safe for concurrent use.
type S3 struct {
	client *Client
	bucket string
	keys   aws.Credentials
	region string
	signer *v4.Signer
}

// NewS3 returns clients of the S3 server at base.
func NewS3(base, bucket, region, accessKey, secretKey string) *S3 {
	return &S3{
		client: NewClient(base), bucket: bucket, region: region,
		keys:   aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey},
		signer: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }),
	}
}

// Close closes the idle connections.
func (s *S3) Close() { s.client.Close() }

// Sign returns a URL that may be used for a while.
func (s *S3) Sign(ctx context.Context, method, key, query string) (string, error) {
	at := s.client.base + "/" + s.bucket + "/" + key + "?X-Amz-Expires=86400"
	if query != "" {
		at += "&" + query
	}
	req, err := http.NewRequestWithContext(ctx, method, at, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("load: sign %s %s: %w", method, key, err)
	}
	signed, _, err := s.signer.PresignHTTP(ctx, s.keys, req, "UNSIGNED-PAYLOAD", "s3", s.region, time.Now())
	if err != nil {
		return "", fmt.Errorf("load: sign %s %s: %w", method, key, err)
	}
	return signed, nil
}

// Put writes an object.
func (s *S3) Put(ctx context.Context, key string, b Blob) error {
	at, err := s.Sign(ctx, http.MethodPut, key, "")
	if err != nil {
		return err
	}
	_, err = s.client.location(ctx, request{method: http.MethodPut, url: at, body: b.Reader(), size: b.Size, want: http.StatusOK})
	return err
}

// PutParts writes an object in parts, so many at once.
func (s *S3) PutParts(ctx context.Context, key string, b Blob, part int64, atOnce int) error {
	at, err := s.Sign(ctx, http.MethodPost, key, "uploads=")
	if err != nil {
		return err
	}
	var made struct{ UploadId string }
	if err := s.ask(ctx, request{method: http.MethodPost, url: at, want: http.StatusOK}, &made); err != nil {
		return err
	}
	id := url.QueryEscape(made.UploadId)
	tags := make([]string, (b.Size+part-1)/part)
	group, parts := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range tags {
		group.Go(func() (err error) {
			at, err := s.Sign(parts, http.MethodPut, key, "partNumber="+strconv.Itoa(i+1)+"&uploadId="+id)
			if err != nil {
				return err
			}
			off := int64(i) * part
			n := min(part, b.Size-off)
			resp, err := s.client.do(parts, request{method: http.MethodPut, url: at, body: b.Section(off, n), size: n, want: http.StatusOK})
			if err != nil {
				return err
			}
			defer resp.Body.Close() //nolint:errcheck // read to its end
			tags[i] = resp.Header.Get("Etag")
			_, err = s.client.drain(resp.Body)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var list strings.Builder
	list.WriteString("<CompleteMultipartUpload>")
	for i, tag := range tags {
		fmt.Fprintf(&list, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, tag)
	}
	list.WriteString("</CompleteMultipartUpload>")
	if at, err = s.Sign(ctx, http.MethodPost, key, "uploadId="+id); err != nil {
		return err
	}
	return s.ask(ctx, request{method: http.MethodPost, url: at, body: strings.NewReader(list.String()), size: int64(list.Len()), want: http.StatusOK}, nil)
}

func (s *S3) ask(ctx context.Context, r request, into any) error {
	resp, err := s.client.do(ctx, r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("load: %s: read the answer: %w", r.method, err)
	}
	if into == nil {
		return nil
	}
	if err := xml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("load: %s: %w", r.method, err)
	}
	return nil
}

// Get reads what is at a signed URL, or any other, and checks its length.
func (s *S3) Get(ctx context.Context, at string, size int64) error {
	return s.client.get(ctx, at, size)
}
