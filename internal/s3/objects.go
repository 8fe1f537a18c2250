package s3

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
)

const (
	opPutObject  = "PutObject"
	opGetObject  = "GetObject"
	opHeadObject = "HeadObject"
)

// Info is what an answer tells of an object.
type Info struct {
	Size     int64
	Version  string    // the ETag without quotes
	Modified time.Time // by the store's clock, to a second
}

// Condition of a write. At most one field is set; the zero value is no condition.
type Condition struct {
	// Absent: If-None-Match: *.
	Absent bool
	// Match: If-Match, sent as it is; see Client.Match.
	Match string
}

func (c Condition) none() bool { return c == Condition{} }

func (c Condition) headers() (ifNoneMatch, ifMatch *string) {
	if c.Absent {
		ifNoneMatch = aws.String("*")
	}
	if c.Match != "" {
		ifMatch = aws.String(c.Match)
	}
	return ifNoneMatch, ifMatch
}

// GetValue reads a whole object of at most limit bytes. A body that is shorter than announced is an
// error, never a value.
func (c *Client) GetValue(ctx context.Context, key string, limit int64) ([]byte, Info, error) {
	var (
		value []byte
		info  Info
	)
	err := c.do(ctx, metadata(opGetObject).on(key), func(w *watch) error { //nolint:contextcheck // the watch's context descends from ctx
		out, err := c.getObject(w, &s3.GetObjectInput{Bucket: c.bucket(), Key: c.key(key)})
		if err != nil {
			return err
		}
		defer out.Body.Close() //nolint:errcheck // read to its end, or given up
		if out.ContentLength == nil || *out.ContentLength < 0 {
			return &Error{Op: opGetObject, Kind: Unavailable, Err: errLength}
		}
		info = Info{Size: *out.ContentLength, Version: version(out.ETag), Modified: aws.ToTime(out.LastModified)}
		if info.Size > limit {
			return &Error{Op: opGetObject, Kind: Rejected, Err: errors.New("the object is larger than a value may be")}
		}
		w.expect(stepTime + transferTime(info.Size))
		value = make([]byte, info.Size)
		if _, err := io.ReadFull(out.Body, value); err != nil {
			return &Error{Op: opGetObject, Kind: Unavailable, Err: errShort}
		}
		return nil
	})
	if err != nil {
		return nil, Info{}, err
	}
	return value, info, nil
}

// Head returns what is known of an object. Kinds: NotFound.
func (c *Client) Head(ctx context.Context, key string) (Info, error) {
	var info Info
	err := c.do(ctx, metadata(opHeadObject).on(key), func(w *watch) error { //nolint:contextcheck // the watch's context descends from ctx
		out, err := hedged(c, w, func(ctx context.Context) (*s3.HeadObjectOutput, error) {
			return c.sdk.HeadObject(ctx, &s3.HeadObjectInput{Bucket: c.bucket(), Key: c.key(key)})
		}, func(*s3.HeadObjectOutput) {})
		if err != nil {
			return err
		}
		if out.ContentLength == nil {
			return &Error{Op: opHeadObject, Kind: Unavailable, Err: errLength}
		}
		info = Info{Size: *out.ContentLength, Version: version(out.ETag), Modified: aws.ToTime(out.LastModified)}
		return nil
	})
	if KindOf(err) != NotFound || err == nil {
		return info, err
	}
	// A 404 without a body may as well mean the bucket, or be a proxy's. A GET names what is missing.
	body, err := c.Get(ctx, key, 0, 1)
	if err == nil {
		return body.Info, body.Close()
	}
	if KindOf(err) == BadRange {
		return Info{}, &Error{Op: opHeadObject, Kind: Unavailable, Err: errors.New("HEAD and GET disagree")}
	}
	return Info{}, err
}

// PutValue writes a small object in one request. With a condition it is sent at most once; without one
// it is repeated where that may help. Info.Modified is the Date of the answer. Kinds: Precondition,
// Conflict, and NotFound for Match on a key that is absent.
func (c *Client) PutValue(ctx context.Context, key string, value []byte, cond Condition) (Info, error) {
	o := once(opPutObject, int64(len(value)))
	if cond.none() {
		o = metadata(opPutObject)
	}
	in := &s3.PutObjectInput{
		Bucket: c.bucket(), Key: c.key(key),
		ContentLength: aws.Int64(int64(len(value))),
		ContentType:   aws.String("application/octet-stream"),
	}
	in.IfNoneMatch, in.IfMatch = cond.headers()
	in.ServerSideEncryption, in.SSEKMSKeyId = c.encryption()
	return c.put(ctx, o.on(key), in, [][]byte{value}, int64(len(value)))
}

// PutObject writes an object of size bytes from chunks, repeated where that may help. It keeps no
// reference to the chunks once it has returned.
func (c *Client) PutObject(ctx context.Context, key string, chunks [][]byte, size int64) (Info, error) {
	in := &s3.PutObjectInput{
		Bucket: c.bucket(), Key: c.key(key),
		ContentLength: aws.Int64(size),
		ContentType:   aws.String("application/octet-stream"),
		StorageClass:  c.storageClass(),
	}
	in.ServerSideEncryption, in.SSEKMSKeyId = c.encryption()
	return c.put(ctx, upload(opPutObject, size).on(key), in, chunks, size, unsigned)
}

func (c *Client) put(ctx context.Context, o op, in *s3.PutObjectInput, chunks [][]byte, size int64, options ...func(*s3.Options)) (Info, error) {
	var info Info
	err := c.do(ctx, o, func(w *watch) error {
		body := newPayload(o, w, chunks, size)
		defer body.detach()
		in.Body = body
		out, err := c.sdk.PutObject(w.ctx, in, options...)
		if err != nil {
			return err
		}
		info = Info{Size: size, Version: version(out.ETag), Modified: answerDate(out.ResultMetadata, c.clock)}
		return nil
	})
	return info, err
}

// unsigned leaves the payload out of the signature, over plain HTTP too: segments are verified by
// their digest, and a second SHA-256 costs more than all else of an upload.
func unsigned(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

// answerDate is the Date of the answer, and the estimate where it has none.
func answerDate(m middleware.Metadata, clock *clock) time.Time {
	if date, ok := awsmiddleware.GetServerTime(m); ok {
		return date.UTC()
	}
	return clock.now().Truncate(time.Second)
}

// Delete removes an object; one that is not there is no error. With a match it is sent at most once, and
// the kinds are Precondition and Conflict.
func (c *Client) Delete(ctx context.Context, key, match string) error {
	o := metadata("DeleteObject")
	in := &s3.DeleteObjectInput{Bucket: c.bucket(), Key: c.key(key)}
	if match != "" {
		o, in.IfMatch = once("DeleteObject", 0), aws.String(match)
	}
	err := c.do(ctx, o.on(key), func(w *watch) error {
		_, err := c.sdk.DeleteObject(w.ctx, in)
		return err
	})
	if err != nil && KindOf(err) == NotFound {
		return nil
	}
	return err
}

func (c *Client) storageClass() types.StorageClass {
	if class := strings.ToUpper(c.cfg.StorageClass); class != "" && class != "NONE" {
		return types.StorageClass(class)
	}
	return ""
}

func (c *Client) encryption() (types.ServerSideEncryption, *string) {
	switch {
	case !c.cfg.Encrypt:
		return "", nil
	case c.cfg.KeyID != "":
		return types.ServerSideEncryptionAwsKms, aws.String(c.cfg.KeyID)
	default:
		return types.ServerSideEncryptionAes256, nil
	}
}

// byteRange is the Range header for length bytes from offset, nil for the whole object.
func byteRange(offset, length int64) *string {
	if offset == 0 && length < 0 {
		return nil
	}
	r := "bytes=" + strconv.FormatInt(offset, 10) + "-"
	if length >= 0 {
		r += strconv.FormatInt(offset+length-1, 10)
	}
	return &r
}
