package judge

import (
	"fmt"
	"net/http"
	"slices"

	"holdfast/test/history/call"
)

// answer judges what can be said of a call alone.
func (b *book) answer(c *call.Call) {
	switch {
	case c.Final && c.Failed():
		b.final(c)
	case c.Failed(), !c.Sent():
		return
	case c.Wrong != "":
		b.problem(ruleOf(c), c.Op+" "+c.Repo+" "+call.Short(c.Ref), c.Wrong, c)
	case !slices.Contains(allowed(c), c.Status):
		b.problem("A", c.Op+" "+c.Repo+" "+call.Short(c.Ref), fmt.Sprintf("the answer is %d %s, and nothing in the request asks for it", c.Status, c.Code), c)
	}
}

// final: a read at the end that is not answered, though it was made again and again. It is the last of those.
func (b *book) final(c *call.Call) {
	for i := range b.calls {
		if d := &b.calls[i]; d.Final && !d.Failed() && d.Op == c.Op && d.Repo == c.Repo && d.Ref == c.Ref && d.Target == c.Target && d.N > c.N && d.Client == c.Client {
			return
		}
	}
	b.problem("A", c.Op+" "+c.Repo+" "+call.Short(c.Ref), "cannot be read in the end", c)
}

func ruleOf(c *call.Call) string {
	switch c.Op {
	case call.Tags, call.Catalog, call.Referrers:
		return "M5"
	case call.ManifestPut, call.ManifestGet, call.ManifestHead:
		return "M2"
	}
	return "M3"
}

// allowed are the answers that a request of a history may get, beside failures. Whether a 404 is true is the models'
// business.
func allowed(c *call.Call) []int {
	switch c.Op {
	case call.Start:
		return []int{http.StatusAccepted}
	case call.Append:
		return []int{http.StatusAccepted, http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable}
	case call.Status, call.Cancel:
		return []int{http.StatusNoContent, http.StatusNotFound}
	case call.Commit:
		if c.BadSum {
			return []int{http.StatusBadRequest, http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable}
		}
		// 400: a chunk of somebody else came between, and what is there is another prefix.
		return []int{http.StatusCreated, http.StatusBadRequest, http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable}
	case call.Push:
		return []int{http.StatusCreated}
	case call.Mount:
		return []int{http.StatusCreated, http.StatusAccepted}
	case call.BlobGet:
		return []int{http.StatusOK, http.StatusPartialContent, http.StatusNotFound}
	case call.BlobDelete:
		return []int{http.StatusAccepted, http.StatusNotFound, http.StatusMethodNotAllowed}
	case call.ManifestPut:
		return []int{http.StatusCreated, http.StatusNotFound}
	case call.ManifestDelete, call.TagDelete:
		return []int{http.StatusAccepted, http.StatusNotFound}
	}
	return []int{http.StatusOK, http.StatusNotFound} // reads
}
