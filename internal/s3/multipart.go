package s3

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Part is an uploaded part.
type Part struct {
	Number int32
	ETag   string // as the store gave it
}

// completeTime is how long one CompleteMultipartUpload is waited for, and all tries together.
const (
	completeAttempt = 20 * time.Second
	completeTotal   = 60 * time.Second
)

// CreateUpload begins a multipart upload and returns its id. An upload whose answer was lost stays
// behind, invisible; see ListUploads.
func (c *Client) CreateUpload(ctx context.Context, key string) (string, error) {
	in := &s3.CreateMultipartUploadInput{
		Bucket: c.bucket(), Key: c.key(key),
		ContentType:  aws.String("application/octet-stream"),
		StorageClass: c.storageClass(),
	}
	in.ServerSideEncryption, in.SSEKMSKeyId = c.encryption()
	var id string
	err := c.do(ctx, metadata("CreateMultipartUpload").on(key), func(w *watch) error {
		out, err := c.sdk.CreateMultipartUpload(w.ctx, in)
		if err != nil {
			return err
		}
		if id = aws.ToString(out.UploadId); id == "" {
			return &Error{Op: "CreateMultipartUpload", Kind: Unavailable, Err: errors.New("the answer has no upload id")}
		}
		return nil
	})
	return id, err
}

// UploadPart sends one part, again where that may help: the same number and bytes replace each other. It
// keeps no reference to the chunks once it has returned. Kinds: NoUpload.
func (c *Client) UploadPart(ctx context.Context, key, id string, number int32, chunks [][]byte, size int64) (Part, error) {
	part := Part{Number: number}
	o := upload("UploadPart", size).on(key)
	query := url.Values{"partNumber": {strconv.Itoa(int(number))}, "uploadId": {id}}
	err := c.do(ctx, o, func(w *watch) error {
		body := newPayload(o, w, chunks, size)
		defer body.detach()
		out, err := c.wire.do(w.ctx, call{
			op: o.name, method: http.MethodPut, key: c.base + key, query: query.Encode(), header: headers("Content-Type", contentType), body: body, size: size,
		})
		if err != nil {
			return err
		}
		if part.ETag = out.etag; part.ETag == "" {
			return &Error{Op: "UploadPart", Kind: Unavailable, Err: errors.New("the answer has no ETag")}
		}
		return nil
	})
	return part, err
}

// CompleteUpload makes the object of the parts, in ascending order, visible. It sends the request once and
// carries no condition; after an error other than a refusal the caller looks whether the object is
// there. Kinds: NoUpload, Rejected (a part is missing or too small).
func (c *Client) CompleteUpload(ctx context.Context, key, id string, parts []Part) error {
	completed := make([]types.CompletedPart, len(parts))
	for i, p := range parts {
		completed[i] = types.CompletedPart{PartNumber: aws.Int32(p.Number), ETag: aws.String(p.ETag)}
	}
	o := op{name: "CompleteMultipartUpload", attempts: 1, attempt: completeAttempt, total: completeAttempt, key: key}
	return c.do(ctx, o, func(w *watch) error {
		_, err := c.sdk.CompleteMultipartUpload(w.ctx, &s3.CompleteMultipartUploadInput{
			Bucket: c.bucket(), Key: c.key(key), UploadId: &id,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: completed},
		})
		return err
	})
}

// AbortUpload drops an upload and its parts; one that is not there is no error.
func (c *Client) AbortUpload(ctx context.Context, key, id string) error {
	err := c.do(ctx, metadata("AbortMultipartUpload").on(key), func(w *watch) error {
		_, err := c.sdk.AbortMultipartUpload(w.ctx, &s3.AbortMultipartUploadInput{
			Bucket: c.bucket(), Key: c.key(key), UploadId: &id,
		})
		return err
	})
	if err != nil && KindOf(err) == NoUpload {
		return nil
	}
	return err
}
