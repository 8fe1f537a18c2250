package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
)

// Place says where a bucket is.
type Place struct {
	Endpoint, Region, Bucket string
	AccessKey, SecretKey     string
	Root                     string // of all keys, such as "zot/holdfast/"
}

// Contents is what lies below the root. Keys are relative to it.
type Contents struct {
	Sizes    map[string]int64   // of every object
	Records  map[string]*record // all but segments and what lies below cfg/
	Sums     map[string]string  // SHA-256 of each segment, by id
	bytes    map[string][]byte  // of each segment, by id
	Lengths  map[string]int64   // of each segment, by id
	Unending int                // multipart uploads that were not ended
}

// record is a stored value: the fields of all kinds in one.
type record struct {
	State      string    `json:"st"`
	Size       int64     `json:"size"`
	Segments   []segment `json:"segments"`
	Digest     string    `json:"digest"`
	MediaType  string    `json:"mediaType"`
	Generation string    `json:"g"`
	Offset     int64     `json:"offset"`
	Repository string    `json:"repo"`
	List       []struct {
		Descriptor struct{ Digest string }
		Generation string `json:"g"`
	} `json:"list"`

	length int64
	body   []byte
}

type segment struct {
	ID   string `json:"id"`
	Size int64  `json:"size"`
}

// alive reports whether readers see the value.
func (r *record) alive() bool {
	return r != nil && (r.State == "" || r.State == "live" || r.State == "condemned")
}

// parallel is how many objects are read at once.
const parallel = 8

// Read reads everything below the root: what it holds is what the store acknowledged before.
func Read(ctx context.Context, p Place) (*Contents, error) {
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(p.Endpoint), Region: p.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(p.AccessKey, p.SecretKey, ""),
	})
	c := &Contents{
		Sizes: make(map[string]int64), Records: make(map[string]*record), Lengths: make(map[string]int64),
		Sums: make(map[string]string), bytes: make(map[string][]byte),
	}
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: aws.String(p.Bucket), Prefix: aws.String(p.Root)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("store: list %s: %w", p.Bucket, err)
		}
		for _, o := range page.Contents {
			c.Sizes[strings.TrimPrefix(aws.ToString(o.Key), p.Root)] = aws.ToInt64(o.Size)
		}
	}
	uploads, err := client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: aws.String(p.Bucket), Prefix: aws.String(p.Root)})
	if err != nil {
		return nil, fmt.Errorf("store: list multipart uploads of %s: %w", p.Bucket, err)
	}
	c.Unending = len(uploads.Uploads)
	return c, c.readAll(ctx, client, p)
}

func (c *Contents) readAll(ctx context.Context, client *s3.Client, p Place) error {
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for key := range c.Sizes {
		if strings.HasPrefix(key, "cfg/") {
			continue
		}
		g.Go(func() error {
			out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(p.Bucket), Key: aws.String(p.Root + key)})
			if err != nil {
				return fmt.Errorf("store: get %s: %w", key, err)
			}
			value, err := io.ReadAll(out.Body)
			if closeErr := out.Body.Close(); err == nil {
				err = closeErr
			}
			if err != nil {
				return fmt.Errorf("store: get %s: %w", key, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if strings.HasPrefix(key, "d/") {
				sum := sha256.Sum256(value)
				id := path.Base(key)
				c.Sums[id], c.Lengths[id], c.bytes[id] = hex.EncodeToString(sum[:]), int64(len(value)), value
				return nil
			}
			r, err := parse(value)
			if err != nil {
				return fmt.Errorf("store: read %s: %w", key, err)
			}
			c.Records[key] = r
			return nil
		})
	}
	return g.Wait()
}

// parse reads a value: a line of JSON, padded, then the body.
func parse(value []byte) (*record, error) {
	head, body, found := bytes.Cut(value, []byte{'\n'})
	if !found {
		return nil, fmt.Errorf("a value of %d bytes has no head", len(value))
	}
	r := &record{length: int64(len(value)), body: body}
	return r, json.Unmarshal(head, r)
}
