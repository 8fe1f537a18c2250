package s3_test

import (
	"io"
	"net/http"
	"sync/atomic"

	"holdfast/internal/s3/s3test"
)

// bytesCounter counts GETs and the bytes of their bodies that were taken from the store.
type bytesCounter struct{ requests, bytes atomic.Int64 }

// Wrap is for s3.Config.Transport.
func (c *bytesCounter) Wrap(next http.RoundTripper) http.RoundTripper {
	return s3test.RoundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil && s3test.Op(r) == "GetObject" {
			c.requests.Add(1)
			resp.Body = &countedBody{resp.Body, &c.bytes}
		}
		return resp, err
	})
}

func (c *bytesCounter) take() (requests, bytes int64) { return c.requests.Swap(0), c.bytes.Swap(0) }

type countedBody struct {
	io.ReadCloser
	bytes *atomic.Int64
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}
