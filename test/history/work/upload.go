package work

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"holdfast/test/history/call"
)

// upload is one blob on its way in. A copy of it is the same upload, known to somebody else.
type upload struct {
	repo     string
	blob     *blob
	session  string // our name of it
	location string // path and query of the newest answer
	offset   int64  // what the newest answer said
	patient  int    // how often a step may still go wrong
}

const octets = "application/octet-stream"

// upload pushes a blob in one of the ways that there are, and reports whether that was acknowledged.
func (w *worker) upload(ctx context.Context, repo string, b *blob) bool {
	if w.chance(15) {
		return w.pushWhole(ctx, repo, b)
	}
	u, ok := w.start(ctx, repo, b)
	if !ok {
		return false
	}
	whole := w.chance(35)
	for !whole && u.offset < b.size() {
		if w.chance(20) {
			break // the rest comes with the commit
		}
		if !w.chunk(ctx, u) {
			return false
		}
	}
	return w.finish(ctx, u)
}

// pushWhole pushes a blob by a single POST.
func (w *worker) pushWhole(ctx context.Context, repo string, b *blob) bool {
	c := call.Call{Op: call.Push, Repo: repo, Ref: b.digest.String(), Len: b.size(), Size: b.size()}
	w.send(ctx, &c, w.at(), request{
		method: http.MethodPost, path: "/v2/" + repo + "/blobs/uploads/?digest=" + c.Ref, body: b.bytes,
		header: map[string]string{"Content-Type": octets},
	})
	w.record(&c)
	return c.Status == http.StatusCreated
}

func (w *worker) start(ctx context.Context, repo string, b *blob) (*upload, bool) {
	u := &upload{repo: repo, blob: b, session: w.name("upload"), patient: 3}
	u.session = strings.ReplaceAll(u.session, " ", "-")
	c := u.call(call.Start)
	to := w.at()
	a := w.send(ctx, c, to, request{method: http.MethodPost, path: "/v2/" + repo + "/blobs/uploads/"})
	u.location = locationOf(to, a.header)
	if c.OK() && u.location == "" {
		c.Wrong = "no Location"
	}
	w.record(c)
	return u, c.Status == http.StatusAccepted && u.location != ""
}

func (u *upload) call(op string) *call.Call {
	return &call.Call{Op: op, Repo: u.repo, Ref: u.blob.digest.String(), Session: u.session, Size: u.blob.size()}
}

// seen takes over what an answer says about the upload.
func (u *upload) seen(c *call.Call, to Target, a answer) {
	c.Offset = -1
	if c.Failed() || c.Status == http.StatusNotFound {
		return
	}
	c.Offset = offsetOf(a.header)
	if at := locationOf(to, a.header); at != "" && c.Op != call.Commit || at != "" && !c.OK() {
		u.location = at
	}
	if c.Offset >= 0 {
		u.offset = min(c.Offset, u.blob.size()) // more when several sent what the others had sent
	}
}

// chunk sends the next bytes, or sometimes wrong ones first. It reports whether to go on.
func (w *worker) chunk(ctx context.Context, u *upload) bool {
	if w.chance(4) && !w.append(ctx, u, min(u.offset+2, u.blob.size()-2), 2, true) {
		return false
	}
	if u.offset >= u.blob.size() {
		return true
	}
	n := u.blob.size() - u.offset
	if n > 6 && w.chance(60) {
		n = 2 + w.random.Int64N(n-4) // two bytes or more here, and two for the rest
	}
	return w.append(ctx, u, u.offset, n, w.chance(70))
}

// append sends n bytes of the blob from begin on; say: with a Content-Range.
func (w *worker) append(ctx context.Context, u *upload, begin, n int64, say bool) bool {
	c := u.call(call.Append)
	c.Begin, c.Len, c.Said = begin, n, say
	head := map[string]string{"Content-Type": octets}
	if say {
		head["Content-Range"] = fmt.Sprintf("%d-%d", begin, begin+n-1)
	}
	to := w.at()
	a := w.send(ctx, c, to, request{method: http.MethodPatch, path: u.location, body: u.blob.bytes[begin : begin+n], header: head})
	u.seen(c, to, a)
	w.record(c)
	switch {
	case c.OK(), c.Status == http.StatusRequestedRangeNotSatisfiable:
		return true
	case c.Failed():
		return w.ask(ctx, u)
	}
	return false
}

// ask asks how far an upload is, after a step that got no answer, and reports whether it goes on.
func (w *worker) ask(ctx context.Context, u *upload) bool {
	for u.patient > 0 && ctx.Err() == nil {
		u.patient--
		switch c := w.status(ctx, u); {
		case c.OK():
			return true
		case !c.Failed():
			return false
		}
	}
	return false
}

func (w *worker) status(ctx context.Context, u *upload) *call.Call {
	c, to := u.call(call.Status), w.at()
	a := w.send(ctx, c, to, request{method: http.MethodGet, path: u.location})
	u.seen(c, to, a)
	w.record(c)
	return c
}

// finish commits an upload with what is missing, and reports whether that was acknowledged.
func (w *worker) finish(ctx context.Context, u *upload) bool {
	if u.offset == u.blob.size() && w.chance(5) {
		w.commit(ctx, u, w.world.config.digest.String()) // of other bytes: refused, and the upload stays
	}
	for {
		c := w.commit(ctx, u, u.blob.digest.String())
		switch {
		case c.OK():
			return true
		case u.patient <= 0 || ctx.Err() != nil:
			return false
		case c.Status == http.StatusRequestedRangeNotSatisfiable: // a chunk came late: its offset is known now
		case !c.Failed():
			return false
		}
		u.patient--
	}
}

func (w *worker) commit(ctx context.Context, u *upload, as string) *call.Call {
	c := u.call(call.Commit)
	c.BadSum = as != c.Ref
	rest := u.blob.bytes[u.offset:]
	c.Begin, c.Len = u.offset, int64(len(rest))
	var head map[string]string
	if len(rest) > 0 {
		head = map[string]string{"Content-Type": octets}
		if c.Said = w.chance(70); c.Said {
			head["Content-Range"] = fmt.Sprintf("%d-%d", u.offset, u.blob.size()-1)
		}
	}
	sep := "?"
	if strings.Contains(u.location, "?") {
		sep = "&"
	}
	to := w.at()
	a := w.send(ctx, c, to, request{method: http.MethodPut, path: u.location + sep + "digest=" + as, body: rest, header: head})
	u.seen(c, to, a)
	w.record(c)
	return c
}

// uploadByMany leaves an upload for others, or goes on with one that others left: alone, or while they do, too.
func (w *worker) uploadByMany(ctx context.Context) {
	if u, ok := w.adopt(); ok {
		w.goOn(ctx, u)
		return
	}
	b := newBlob(w.name("upload by many"), 200+w.random.IntN(4000))
	u, ok := w.start(ctx, pick(w.client, w.world.busy), b)
	if !ok {
		return
	}
	if w.chance(70) && !w.chunk(ctx, u) {
		return
	}
	w.world.mu.Lock()
	defer w.world.mu.Unlock()
	w.world.abandoned = append(w.world.abandoned, *u)
}

// adopt returns somebody's upload; it may stay there for more to find.
func (w *worker) adopt() (*upload, bool) {
	w.world.mu.Lock()
	defer w.world.mu.Unlock()
	all := w.world.abandoned
	if len(all) == 0 || len(all) < 3 && w.chance(50) {
		return nil, false
	}
	u := all[0]
	if w.chance(60) {
		w.world.abandoned = all[1:]
	}
	return &u, true
}

func (w *worker) goOn(ctx context.Context, u *upload) {
	if w.chance(30) {
		if c := w.status(ctx, u); !c.OK() {
			return
		}
	}
	if w.chance(15) {
		w.cancel(ctx, u)
		w.status(ctx, u)
		if w.chance(50) && u.offset < u.blob.size() {
			w.append(ctx, u, u.offset, u.blob.size()-u.offset, true)
		}
		return
	}
	for u.offset < u.blob.size() && w.chance(80) {
		if !w.chunk(ctx, u) {
			return
		}
	}
	w.finish(ctx, u)
}

func (w *worker) cancel(ctx context.Context, u *upload) {
	c, to := u.call(call.Cancel), w.at()
	a := w.send(ctx, c, to, request{method: http.MethodDelete, path: u.location})
	u.seen(c, to, a)
	c.Offset = -1
	w.record(c)
}
