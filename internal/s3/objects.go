package s3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
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

// headers are the values of its headers, "" for none.
func (c Condition) headers() (ifNoneMatch, ifMatch string) {
	if c.Absent {
		ifNoneMatch = "*"
	}
	return ifNoneMatch, c.Match
}

// GetValue reads a whole object of at most limit bytes. A body that is shorter than announced is an
// error, never a value.
func (c *Client) GetValue(ctx context.Context, key string, limit int64) ([]byte, Info, error) {
	var (
		value []byte
		info  Info
	)
	err := c.do(ctx, metadata(opGetObject).on(key), func(w *watch) error { //nolint:contextcheck // the watch's context descends from ctx
		out, err := c.getObject(w, key, "")
		if err != nil {
			return err
		}
		defer out.body.Close() //nolint:errcheck // read to its end, or given up
		if out.size < 0 {
			return &Error{Op: opGetObject, Kind: Unavailable, Err: errLength}
		}
		info = Info{Size: out.size, Version: version(out.etag), Modified: out.modified}
		if info.Size > limit {
			return &Error{Op: opGetObject, Kind: Rejected, Err: errors.New("the object is larger than a value may be")}
		}
		w.expect(stepTime + transferTime(info.Size))
		value = make([]byte, info.Size)
		if _, err := io.ReadFull(out.body, value); err != nil {
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
		out, err := hedged(c, w, func(ctx context.Context) (*answer, error) {
			return c.wire.do(ctx, call{op: opHeadObject, method: http.MethodHead, key: c.base + key, header: headers()})
		}, func(*answer) {})
		if err != nil {
			return err
		}
		if out.size < 0 {
			return &Error{Op: opHeadObject, Kind: Unavailable, Err: errLength}
		}
		info = Info{Size: out.size, Version: version(out.etag), Modified: out.modified}
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
	return c.put(ctx, o.on(key), [][]byte{value}, int64(len(value)), func() call {
		ifNoneMatch, ifMatch := cond.headers()
		encrypt, keyID := c.encryption()
		return call{hash: c.wire.sign(value), header: headers("Content-Type", contentType, "If-None-Match", ifNoneMatch, "If-Match", ifMatch,
			headerEncryption, string(encrypt), headerKeyID, aws.ToString(keyID))}
	})
}

// contentType is that of all objects, and of what a presigned URL answers, whatever the object says of itself.
const contentType = "application/octet-stream"

// The headers of how an object is stored, in the form of http.Header.
const (
	headerClass      = "X-Amz-Storage-Class"
	headerEncryption = "X-Amz-Server-Side-Encryption"
	headerKeyID      = "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"
)

// PutObject writes an object of size bytes from chunks, repeated where that may help. It keeps no
// reference to the chunks once it has returned.
func (c *Client) PutObject(ctx context.Context, key string, chunks [][]byte, size int64) (Info, error) {
	return c.put(ctx, upload(opPutObject, size).on(key), chunks, size, func() call {
		encrypt, keyID := c.encryption()
		return call{header: headers("Content-Type", contentType, headerClass, string(c.storageClass()), headerEncryption, string(encrypt), headerKeyID, aws.ToString(keyID))}
	})
}

// put sends what attempt makes: a call with its headers. Without a hash the payload is left out of the signature, over plain HTTP
// too: segments are verified by their digest, and a second SHA-256 costs more than all else of an upload.
func (c *Client) put(ctx context.Context, o op, chunks [][]byte, size int64, attempt func() call) (Info, error) {
	var info Info
	err := c.do(ctx, o, func(w *watch) error {
		body := newPayload(o, w, chunks, size)
		defer body.detach()
		next := attempt()
		next.op, next.method, next.key, next.body, next.size = opPutObject, http.MethodPut, c.base+o.key, body, size
		out, err := c.wire.do(w.ctx, next)
		if err != nil {
			return err
		}
		info = Info{Size: size, Version: version(out.etag), Modified: out.date}
		if info.Modified.IsZero() {
			info.Modified = c.clock.now().Truncate(time.Second)
		}
		return nil
	})
	return info, err
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

// byteRange is the Range header for length bytes from offset, "" for the whole object.
func byteRange(offset, length int64) string {
	if offset == 0 && length < 0 {
		return ""
	}
	r := "bytes=" + strconv.FormatInt(offset, 10) + "-"
	if length >= 0 {
		r += strconv.FormatInt(offset+length-1, 10)
	}
	return r
}
