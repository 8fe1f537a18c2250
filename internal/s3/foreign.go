package s3

import (
	"context"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Beside returns up to a thousand keys that lie below the root directory, relative to it, and are not
// ours: what another program keeps where we would. One request.
func (c *Client) Beside(ctx context.Context) ([]string, error) {
	root := path.Dir(strings.TrimSuffix(c.base, "/")) + "/"
	if root == "./" {
		root = ""
	}
	var keys []string
	err := c.do(ctx, metadata("ListObjectsV2"), func(w *watch) error {
		out, err := c.sdk.ListObjectsV2(w.ctx, &s3.ListObjectsV2Input{Bucket: c.bucket(), Prefix: aws.String(root), MaxKeys: aws.Int32(pageSize)})
		if err != nil {
			return err
		}
		keys = keys[:0]
		for _, o := range out.Contents {
			if key := aws.ToString(o.Key); !strings.HasPrefix(key, c.base) {
				keys = append(keys, strings.TrimPrefix(key, root))
			}
		}
		return nil
	})
	return keys, err
}

// Foreign returns a client for what another program keeps below the root directory: keys are relative to that. It shares all else. It is
// for reading; the caller closes c, not it.
func (c *Client) Foreign() *Client {
	foreign := *c
	foreign.base = strings.TrimSuffix(c.base, "holdfast/")
	return &foreign
}
