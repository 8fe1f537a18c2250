package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

const octets = "application/octet-stream"

// push brings a blob in, going on where it broke off, and reports whether it was acknowledged.
func (w *worker) push(ctx context.Context, repo string, b content) bool {
	w.count(func(k *Work) { k.Flows++ })
	u := &upload{worker: w, repo: repo, content: b, patient: w.opt.Patient}
	ok := u.run(ctx)
	w.count(func(k *Work) {
		switch {
		case !ok:
			k.GivenUp++
		case u.broke:
			k.Resumed++
		}
	})
	if ok {
		w.layers = append(w.layers, layer{repo, b})
	}
	return ok
}

// upload is one blob on its way in.
type upload struct {
	*worker
	content
	repo     string
	location string // path and query
	patient  int    // how many unknown outcomes it still takes
	broke    bool
}

func (u *upload) run(ctx context.Context) bool {
	if !u.start(ctx) {
		return false
	}
	whole := u.size < 1<<20 && u.random.IntN(2) == 0
	if whole {
		return u.commit(ctx, true)
	}
	for offset := int64(0); offset < u.size; {
		n := u.size - offset
		if n > 2 && u.random.IntN(2) == 0 {
			n = 2 + u.random.Int64N(n-2)
		}
		next, ok := u.append(ctx, offset, n)
		if !ok {
			return false
		}
		offset = next
	}
	return u.commit(ctx, false)
}

// unknown notes an outcome that is not known and reports whether to go on.
func (u *upload) unknown(ctx context.Context) bool {
	u.broke = true
	u.patient--
	if u.patient < 0 || ctx.Err() != nil {
		return false
	}
	u.pause(ctx)
	return true
}

func (u *upload) start(ctx context.Context) bool {
	for again := false; ; again = true {
		c := Call{Op: BlobStart, Repo: u.repo, Target: u.target(), Again: again}
		a := u.send(ctx, &c, request{method: http.MethodPost, url: c.Target + "/v2/" + u.repo + "/blobs/uploads/"})
		u.history.Add(c)
		if c.OK() {
			return u.moved(a.header)
		}
		if !c.Failed() || !u.unknown(ctx) {
			return false
		}
	}
}

func (u *upload) moved(h http.Header) bool {
	u.location = h.Get("Location")
	return u.location != ""
}

// append sends one chunk and returns the offset that the upload has then.
func (u *upload) append(ctx context.Context, offset, n int64) (int64, bool) {
	c := Call{Op: BlobAppend, Repo: u.repo, Ref: string(u.digest), Target: u.target(), Len: n}
	a := u.send(ctx, &c, request{
		method: http.MethodPatch, url: c.Target + u.location, body: u.part(offset, n), size: n,
		header: map[string]string{"Content-Type": octets, "Content-Range": fmt.Sprintf("%d-%d", offset, offset+n-1)},
	})
	u.history.Add(c)
	if c.OK() {
		return offset + n, u.moved(a.header)
	}
	// A chunk that was given up may still arrive, and then the next one is out of place.
	late := c.Status == http.StatusRequestedRangeNotSatisfiable && u.broke
	if !c.Failed() && !late || !u.unknown(ctx) {
		return 0, false
	}
	return u.status(ctx)
}

// status asks how far the upload is.
func (u *upload) status(ctx context.Context) (int64, bool) {
	for {
		c := Call{Op: BlobStatus, Repo: u.repo, Ref: string(u.digest), Target: u.target(), Again: true}
		a := u.send(ctx, &c, request{method: http.MethodGet, url: c.Target + u.location})
		u.history.Add(c)
		if c.OK() {
			offset, ok := rangeEnd(a.header.Get("Range"))
			return offset, ok && u.moved(a.header)
		}
		if !c.Failed() || !u.unknown(ctx) {
			return 0, false
		}
	}
}

// rangeEnd returns the offset that follows a Range header's last byte. The spec has no way to say that
// there is none yet but "0-0", so chunks here have two bytes or more.
func rangeEnd(value string) (int64, bool) {
	_, last, ok := strings.Cut(value, "-")
	end, err := strconv.ParseInt(last, 10, 64)
	if end == 0 {
		return 0, ok && err == nil
	}
	return end + 1, ok && err == nil
}

// commit ends the upload, with all its bytes or with none.
func (u *upload) commit(ctx context.Context, whole bool) bool {
	sep := "?"
	if strings.Contains(u.location, "?") {
		sep = "&"
	}
	for again := false; ; again = true {
		c := Call{Op: BlobCommit, Repo: u.repo, Ref: string(u.digest), Digest: string(u.digest), Target: u.target(), Again: again}
		r := request{method: http.MethodPut, url: c.Target + u.location + sep + "digest=" + string(u.digest)}
		if whole {
			c.Len = u.size
			r.body, r.size, r.header = u.part(0, u.size), u.size, map[string]string{"Content-Type": octets}
		}
		u.send(ctx, &c, r)
		u.history.Add(c)
		if c.OK() {
			return true
		}
		if !c.Failed() || !u.unknown(ctx) {
			return false
		}
	}
}

// part returns a reader of n bytes from offset on.
func (c content) part(offset, n int64) io.Reader { return io.LimitReader(c.reader(offset), n) }

// has asks for a blob and reports whether it is there.
func (w *worker) has(ctx context.Context, repo string, d digest.Digest) bool {
	c := Call{Op: BlobHead, Repo: repo, Ref: string(d), Target: w.target()}
	w.send(ctx, &c, request{method: http.MethodHead, url: c.Target + "/v2/" + repo + "/blobs/" + string(d)})
	w.history.Add(c)
	return c.OK()
}

// pull reads a whole blob.
func (w *worker) pull(ctx context.Context, repo string, d digest.Digest) {
	c := Call{Op: BlobGet, Repo: repo, Ref: string(d), Target: w.target()}
	w.get(ctx, &c, "")
	w.history.Add(c)
}

// get reads a blob or a part of it, and judges the bytes of a whole one.
func (w *worker) get(ctx context.Context, c *Call, part string) []byte {
	r := request{method: http.MethodGet, url: c.Target + "/v2/" + c.Repo + "/blobs/" + c.Ref, keep: part != ""}
	if part != "" {
		r.header = map[string]string{"Range": part}
	}
	a := w.send(ctx, c, r)
	c.Corrupt = c.Status == http.StatusOK && !c.Cut && c.Digest != c.Ref
	return a.body
}

// pullPart reads a part of a blob whose bytes are known.
func (w *worker) pullPart(ctx context.Context, l layer) {
	offset := w.random.Int64N(l.size)
	n := 1 + w.random.Int64N(min(l.size-offset, 64<<10))
	c := Call{Op: BlobRange, Repo: l.repo, Ref: string(l.digest), Target: w.target()}
	body := w.get(ctx, &c, fmt.Sprintf("bytes=%d-%d", offset, offset+n-1))
	c.Corrupt = c.Status == http.StatusPartialContent && !c.Cut && !bytes.Equal(body, l.bytes(offset, n))
	c.Digest = ""
	w.history.Add(c)
}

func (w *worker) deleteBlob(ctx context.Context, l layer) {
	c := Call{Op: BlobDelete, Repo: l.repo, Ref: string(l.digest), Target: w.target()}
	w.send(ctx, &c, request{method: http.MethodDelete, url: c.Target + "/v2/" + l.repo + "/blobs/" + string(l.digest)})
	w.history.Add(c)
}

// mount asks for a blob of another repository and reports whether it is there then.
func (w *worker) mount(ctx context.Context, l layer, repo string) bool {
	c := Call{Op: BlobMount, Repo: repo, Ref: string(l.digest), Digest: string(l.digest), From: l.repo, Target: w.target()}
	url := fmt.Sprintf("%s/v2/%s/blobs/uploads/?mount=%s&from=%s", c.Target, repo, l.digest, l.repo)
	w.send(ctx, &c, request{method: http.MethodPost, url: url})
	w.history.Add(c)
	return c.Status == http.StatusCreated
}
