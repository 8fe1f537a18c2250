package check

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/test/drills/load"
)

// Verdict is what a history says.
type Verdict struct {
	Requests     int            `json:"requests"`
	Acknowledged int            `json:"acknowledged"` // writes
	Unknown      int            `json:"unknown"`      // writes without an answer that says
	Failed       map[string]int `json:"failed"`       // by status, "none" without one, "cut" when it broke off
	FailedReads  int            `json:"failed_reads"` // of these

	Lost        int `json:"lost"`        // acknowledged, and not there or older in the end
	Corrupt     int `json:"corrupt"`     // wrong bytes in an answer that ended well
	Resurrected int `json:"resurrected"` // there, although its deletion was acknowledged
	False404    int `json:"false404"`    // said not to be there, and was
	Unexpected  int `json:"unexpected"`  // other answers that the client gave no reason for
	NoHint      int `json:"no_hint"`     // 503 and 429 without Retry-After

	// Of Collected.
	Broken int `json:"broken,omitempty"` // pushes that were refused for a blob that had just been said to be there; also false 404s
	Late   int `json:"late,omitempty"`   // pushes that were refused for one that was asked for too long ago, or deleted by somebody

	LongestWait time.Duration `json:"longest_wait_ns"`
	LongestOf   string        `json:"longest_of"` // the call that waited longest

	Problems []string `json:"problems,omitempty"` // the first of each
}

// Sound reports whether nothing was lost, wrong, resurrected or denied.
func (v *Verdict) Sound() bool {
	return v.Lost+v.Corrupt+v.Resurrected+v.False404+v.Unexpected == 0
}

// maxProblems is how many are described; all are counted.
const maxProblems = 20

func (v *Verdict) problem(count *int, c load.Call, format string, args ...any) {
	*count++
	if len(v.Problems) < maxProblems {
		v.Problems = append(v.Problems, fmt.Sprintf(format, args...)+": "+Describe(c))
	}
}

// Describe says in a line what was asked and answered.
func Describe(c load.Call) string {
	text := fmt.Sprintf("client %d, call %d at %s: %s %s %s at %s: %d", c.Client, c.N, time.Duration(c.Call).Round(time.Millisecond), c.Op, c.Repo, c.Ref, c.Target, c.Status)
	for _, more := range []string{c.Code, c.Err} {
		if more != "" {
			text += ", " + more
		}
	}
	return text
}

// History judges the calls of a load that has ended.
func History(calls []load.Call) *Verdict { return judge(calls, nil) }

// judge judges a history. collected is what is known of one under a collector, else nil.
func judge(calls []load.Call, collected *collected) *Verdict {
	v := &Verdict{Failed: make(map[string]int)}
	clients := make(map[int][]load.Call)
	for _, c := range calls {
		v.count(c)
		clients[c.Client] = append(clients[c.Client], c)
	}
	for _, own := range clients {
		slices.SortStableFunc(own, func(a, b load.Call) int { return cmp.Compare(a.N, b.N) })
		newModel(v, collected).follow(own)
	}
	shared(v, calls)
	if collected == nil {
		blobs(v, calls)
	}
	sharedLists(v, calls)
	return v
}

// count takes note of what can be said of a call alone.
func (v *Verdict) count(c load.Call) {
	v.Requests++
	switch {
	case c.Failed():
		v.Failed[Outcome(c)]++
		if c.Write() {
			v.Unknown++
		}
		if isRead(c) {
			v.FailedReads++
		}
	case c.Write() && c.OK():
		v.Acknowledged++
	}
	if c.NoHint {
		v.NoHint++
	}
	if c.Corrupt {
		v.problem(&v.Corrupt, c, "wrong bytes, or digest, or not in order")
	}
	if wait := time.Duration(c.Wait); !c.Final && wait > v.LongestWait {
		v.LongestWait, v.LongestOf = wait, Describe(c)
	}
	if allowed := statuses[c.Op]; !c.Failed() && !slices.Contains(allowed, c.Status) {
		v.problem(&v.Unexpected, c, "an answer without a reason")
	}
}

func isRead(c load.Call) bool {
	switch c.Op {
	case load.BlobGet, load.BlobHead, load.BlobRange, load.BlobStatus, load.ManifestGet, load.TagsList, load.ReferrersList:
		return true
	}
	return false
}

// Outcome names how a call failed: its status, "cut" for an answer that broke off, "none" without one.
func Outcome(c load.Call) string {
	switch {
	case c.Cut:
		return "cut"
	case c.Status == 0:
		return "none"
	default:
		return strconv.Itoa(c.Status)
	}
}

// statuses are the answers that an operation of the load may get, beside failures; whether a 404 is true is
// the models' business.
var statuses = map[string][]int{
	load.BlobStart:      {http.StatusAccepted},
	load.BlobAppend:     {http.StatusAccepted, http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable},
	load.BlobStatus:     {http.StatusNoContent, http.StatusNotFound},
	load.BlobCommit:     {http.StatusCreated, http.StatusNotFound},
	load.BlobMount:      {http.StatusCreated, http.StatusAccepted},
	load.BlobGet:        {http.StatusOK, http.StatusNotFound},
	load.BlobRange:      {http.StatusPartialContent, http.StatusNotFound},
	load.BlobHead:       {http.StatusOK, http.StatusNotFound},
	load.BlobDelete:     {http.StatusAccepted, http.StatusNotFound, http.StatusMethodNotAllowed},
	load.ManifestPut:    {http.StatusCreated, http.StatusNotFound},
	load.ManifestGet:    {http.StatusOK, http.StatusNotFound},
	load.ManifestDelete: {http.StatusAccepted, http.StatusNotFound},
	load.TagDelete:      {http.StatusAccepted, http.StatusNotFound},
	load.TagsList:       {http.StatusOK, http.StatusNotFound},
	load.ReferrersList:  {http.StatusOK},
}

// ascending reports whether names are in byte order, each once.
func ascending(names []string) bool {
	return slices.IsSortedFunc(names, strings.Compare) && len(slices.Compact(slices.Clone(names))) == len(names)
}
