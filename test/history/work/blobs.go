package work

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/opencontainers/go-digest"

	"holdfast/test/history/call"
)

func blobPath(repo, d string) string { return "/v2/" + repo + "/blobs/" + d }

// headBlob asks for a blob and reports whether it is there.
func (w *worker) headBlob(ctx context.Context, repo string, b *blob) bool {
	c := call.Call{Op: call.BlobHead, Repo: repo, Ref: b.digest.String()}
	a := w.send(ctx, &c, w.at(), request{method: http.MethodHead, path: blobPath(repo, c.Ref)})
	if size := a.header.Get("Content-Length"); c.OK() && size != strconv.FormatInt(b.size(), 10) {
		c.Wrong = fmt.Sprintf("Content-Length is %q, the blob has %d bytes", size, b.size())
	}
	w.record(&c)
	return c.OK()
}

// getBlob reads a whole blob.
func (w *worker) getBlob(ctx context.Context, repo, d string, size int64) {
	c := call.Call{Op: call.BlobGet, Repo: repo, Ref: d}
	a := w.send(ctx, &c, w.at(), request{method: http.MethodGet, path: blobPath(repo, d)})
	if c.OK() {
		if got := digest.FromBytes(a.body).String(); got != d || c.Status != http.StatusOK {
			c.Wrong = fmt.Sprintf("%d bytes of the digest %s, want %d", len(a.body), got, size)
		}
	}
	w.record(&c)
}

// getPart reads a part of a blob, by a range with an end or without.
func (w *worker) getPart(ctx context.Context, repo string, b *blob) {
	begin := w.random.Int64N(b.size())
	n := 1 + w.random.Int64N(b.size()-begin)
	asked := fmt.Sprintf("bytes=%d-%d", begin, begin+n-1)
	if w.chance(20) {
		n = b.size() - begin
		asked = fmt.Sprintf("bytes=%d-", begin)
	}
	c := call.Call{Op: call.BlobGet, Repo: repo, Ref: b.digest.String(), Begin: begin, Len: n}
	a := w.send(ctx, &c, w.at(), request{method: http.MethodGet, path: blobPath(repo, c.Ref), header: map[string]string{"Range": asked}})
	if c.OK() {
		want := fmt.Sprintf("bytes %d-%d/%d", begin, begin+n-1, b.size())
		got := a.header.Get("Content-Range")
		switch {
		case c.Status == http.StatusOK && bytes.Equal(a.body, b.bytes): // it may ignore a range
		case c.Status != http.StatusPartialContent || !bytes.Equal(a.body, b.bytes[begin:begin+n]):
			c.Wrong = fmt.Sprintf("%d wrong bytes", len(a.body))
		case got != want:
			c.Wrong = fmt.Sprintf("Content-Range is %q, want %q", got, want)
		}
	}
	w.record(&c)
}

func (w *worker) deleteBlob(ctx context.Context, repo string, b *blob) {
	c := call.Call{Op: call.BlobDelete, Repo: repo, Ref: b.digest.String()}
	w.send(ctx, &c, w.at(), request{method: http.MethodDelete, path: blobPath(repo, c.Ref)})
	w.record(&c)
}

// mount asks for a blob of another repository, or of any when from is "", and reports whether it is there then.
func (w *worker) mount(ctx context.Context, repo, from string, b *blob) bool {
	c := call.Call{Op: call.Mount, Repo: repo, Ref: b.digest.String(), From: from, Size: b.size()}
	path := "/v2/" + repo + "/blobs/uploads/?mount=" + c.Ref
	if from != "" {
		path += "&from=" + from
	}
	w.send(ctx, &c, w.at(), request{method: http.MethodPost, path: path})
	w.record(&c)
	return c.Status == http.StatusCreated
}
