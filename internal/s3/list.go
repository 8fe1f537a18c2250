package s3

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Item is a key of a list, relative to the client's base.
type Item struct {
	Key string
	Info
}

const (
	pageSize  = 1000
	leastPage = 16 // keys that are asked for at least: a few more cost nothing
)

// List yields the keys that begin with prefix and are greater than after, in byte order, a page of up
// to 1,000 at a time. It stops at the first error, which it yields; an answer that is out of order,
// outside of prefix or cut short is one.
func (c *Client) List(ctx context.Context, prefix, after string) iter.Seq2[Item, error] {
	return c.ListSome(ctx, prefix, after, 0)
}

// ListSome is List for a caller who will read about expected keys, 0 for all: its pages are no larger than that, until more are read.
func (c *Client) ListSome(ctx context.Context, prefix, after string, expected int) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		size, left := pageSize, expected
		for more := true; more; left -= size {
			switch {
			case left > 0:
				size = max(leastPage, min(left, pageSize))
			case expected > 0: // the caller passes over many
				size = min(2*size, pageSize)
			}
			items, truncated, err := c.page(ctx, prefix, after, size)
			if err != nil {
				yield(Item{}, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
				after = item.Key
			}
			more = truncated
		}
	}
}

func (c *Client) page(ctx context.Context, prefix, after string, size int) (items []Item, truncated bool, err error) {
	from := ""
	if after != "" {
		from = c.base + after
	}
	const name = "ListObjectsV2"
	err = c.do(ctx, metadata(name).on(prefix), func(w *watch) error {
		out, err := c.listObjects(w, c.base+prefix, from, size)
		if err != nil {
			return err
		}
		items, truncated = out.items, out.truncated
		err = c.relative(items, prefix, after)
		if err == nil && truncated && len(items) == 0 {
			err = errors.New("an empty page that is not the last")
		}
		if err != nil {
			return &Error{Op: name, Kind: Unavailable, Err: err}
		}
		return nil
	})
	return items, truncated, err
}

// relative makes the keys of a page relative to the base, in place, and checks that they are what was asked for.
func (c *Client) relative(items []Item, prefix, after string) error {
	for i := range items {
		key, ok := strings.CutPrefix(items[i].Key, c.base)
		if !ok || !strings.HasPrefix(key, prefix) || key <= after {
			return errors.New("a key out of order or outside of the prefix")
		}
		after, items[i].Key = key, key
	}
	return nil
}

// Upload is a multipart upload that was neither completed nor aborted.
type Upload struct {
	Key       string
	ID        string
	Initiated time.Time
}

// ListUploads yields the multipart uploads below prefix. Some stores (MinIO) list none by prefix.
func (c *Client) ListUploads(ctx context.Context, prefix string) iter.Seq2[Upload, error] {
	return func(yield func(Upload, error) bool) {
		in := &s3.ListMultipartUploadsInput{Bucket: c.bucket(), Prefix: c.key(prefix), MaxUploads: aws.Int32(pageSize)}
		for {
			var out *s3.ListMultipartUploadsOutput
			err := c.do(ctx, metadata("ListMultipartUploads").on(prefix), func(w *watch) (err error) {
				out, err = c.sdk.ListMultipartUploads(w.ctx, in)
				return err
			})
			if err != nil {
				yield(Upload{}, err)
				return
			}
			for _, u := range out.Uploads {
				key, ok := strings.CutPrefix(aws.ToString(u.Key), c.base)
				if !ok || !strings.HasPrefix(key, prefix) {
					continue // another user of the bucket
				}
				if !yield(Upload{Key: key, ID: aws.ToString(u.UploadId), Initiated: aws.ToTime(u.Initiated)}, nil) {
					return
				}
			}
			if !aws.ToBool(out.IsTruncated) || aws.ToString(out.NextKeyMarker) == "" {
				return
			}
			in.KeyMarker, in.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
		}
	}
}
