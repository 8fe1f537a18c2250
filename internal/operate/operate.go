package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"holdfast/internal/collect"
	"holdfast/internal/collect/retain"
	"holdfast/internal/collect/scrub"
	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/lease"
	"holdfast/internal/oci"
	"holdfast/internal/quota"
	"holdfast/internal/record"
	"holdfast/internal/registry"
)

// Op is a kind of work.
type Op string

// The kinds of work.
const (
	GC        Op = "gc"
	Status    Op = "gc status"
	Retention Op = "retention preview"
	Scrub     Op = "scrub"
	Fsck      Op = "fsck"
	History   Op = "tag history"
	Restore   Op = "tag restore"
	Token     Op = "token"
	Rotate    Op = "secret rotate"
	Upgrade   Op = "upgrade"

	RevokeUser Op = "revoke"
	Quota      Op = "quota"
)

// Request is what an operator asks for. Fields that its kind of work has no use for are ignored.
type Request struct {
	Do         Op            `json:"do"`
	Store      string        `json:"store,omitempty"`      // "/" is the root's, else a sub-path; "": all
	Repository string        `json:"repository,omitempty"` // "": all
	Tag        string        `json:"tag,omitempty"`        // of Repository
	Digest     string        `json:"digest,omitempty"`     // tag restore: "" is what the tag named last
	All        bool          `json:"all,omitempty"`        // tag history: also what only markers tell, which takes a list of them all
	JSON       bool          `json:"json,omitempty"`       // the output is one JSON document, else text for people
	DryRun     bool          `json:"dryRun,omitempty"`     // gc: nothing is written
	Recent     bool          `json:"recent,omitempty"`     // gc: only what hints say has changed
	Repair     bool          `json:"repair,omitempty"`     // fsck: mend what needs no guess
	For        string        `json:"for,omitempty"`        // token: its purpose
	TTL        time.Duration `json:"ttl,omitempty"`        // token: nanoseconds
	Revoke     bool          `json:"revoke,omitempty"`     // secret rotate: what was signed before is good no more
	User       string        `json:"user,omitempty"`       // revoke: whose tokens, sessions and API keys
	Recount    bool          `json:"recount,omitempty"`    // quota: count anew what is there
	Enable     string        `json:"enable,omitempty"`     // upgrade: the feature; "": none, only tell
}

// Store is an open store.
type Store struct {
	Path      string // "/", or the sub-path with a slash before it
	Registry  *registry.Local
	Records   format.Store
	Data      data.Store
	Holder    string // names this process in leases
	Collects  bool   // gc is on for it
	Policies  retain.Policies
	Collector func(dryRun bool) *collect.Collector   // makes one over the store
	Alone     bool                                   // nobody else can have it open
	Passed    func(context.Context, *collect.Report) // is told of each pass that was made; nil: nobody is
	Log       *slog.Logger                           // gets what a scrub finds
	Counters  *scrub.Counters                        // of this process's scrubs
	Quotas    *quota.Book
	Features  []format.Feature // of the format, that this process knows
}

// The outcomes of Do.
const (
	Well        = 0
	Bad         = 1  // it found damage, or it failed
	Misused     = 2  // the request makes no sense
	Unavailable = 75 // the store does not answer, or somebody else is at the same work: trying again may help
)

// Do does what a request asks for on the stores, the root's first, and writes the outcome to out. progress, if it is not nil, gets a line of text now and
// then. The code is one of the outcomes, also without an error. The work ends soon after ctx does, and what it has done stays.
func Do(ctx context.Context, stores []Store, r Request, out, progress io.Writer) (code int, err error) {
	if progress == nil {
		progress = io.Discard
	}
	j := &job{Request: r, stores: stores, out: out, progress: progress}
	if err = j.choose(); err == nil {
		switch r.Do {
		case GC:
			code, err = j.gc(ctx)
		case Status:
			code, err = j.status(ctx)
		case Retention:
			code, err = j.retention(ctx)
		case Scrub:
			code, err = j.scrub(ctx)
		case Fsck:
			code, err = j.fsck(ctx)
		case History:
			code, err = j.history(ctx)
		case Restore:
			code, err = j.restore(ctx)
		case Token:
			code, err = j.token()
		case Rotate:
			code, err = j.rotate(ctx)
		case Quota:
			code, err = j.quota(ctx)
		case Upgrade:
			code, err = j.upgrade(ctx)
		case RevokeUser:
			code, err = j.revokeUser(ctx)
		default:
			err = misused("there is no work called %q", r.Do)
		}
	}
	if err != nil {
		code = outcome(err)
	}
	return code, err
}

// job is a request that is being done.
type job struct {
	Request
	stores   []Store // that were chosen
	out      io.Writer
	progress io.Writer
}

// MisusedError is a request that makes no sense.
type MisusedError struct{ text string }

// Error says why.
func (e *MisusedError) Error() string { return e.text }

func misused(format string, args ...any) error { return &MisusedError{fmt.Sprintf(format, args...)} }

func outcome(err error) int {
	var wrong *MisusedError
	var held *lease.HeldError
	switch {
	case errors.As(err, &wrong):
		return Misused
	case upgradeOutcome(err) != Well:
		return upgradeOutcome(err)
	case errors.As(err, &held), errors.Is(err, record.ErrUnavailable), errors.Is(err, data.ErrUnavailable):
		return Unavailable
	}
	return Bad
}

// choose leaves the stores that the request is for.
func (j *job) choose() error {
	if j.Repository != "" {
		repo, err := oci.ParseRepository(j.Repository)
		if err != nil {
			return misused("%s", err.Error())
		}
		of := storeOf(j.stores, repo)
		if j.Store != "" && path(j.Store) != of.Path {
			return misused("repository %s is in the store %s, not in %s", repo, of.Path, path(j.Store))
		}
		j.stores = []Store{of}
		return nil
	}
	if j.Store == "" {
		return nil
	}
	want := path(j.Store)
	i := slices.IndexFunc(j.stores, func(s Store) bool { return s.Path == want })
	if i < 0 {
		return misused("there is no store for %s", want)
	}
	j.stores = j.stores[i : i+1]
	return nil
}

// path is the form of a Store's Path.
func path(text string) string { return "/" + strings.Trim(text, "/") }

// storeOf is the store that a repository is in: that of the longest path that it lies below.
func storeOf(stores []Store, repo oci.Repository) Store {
	best := stores[0]
	for _, s := range stores {
		if rest, below := strings.CutPrefix("/"+string(repo), s.Path); below && (rest == "" || rest[0] == '/') && len(s.Path) > len(best.Path) {
			best = s
		}
	}
	return best
}

// say writes a line of progress.
func (j *job) say(format string, args ...any) {
	_, _ = fmt.Fprintf(j.progress, format+"\n", args...) // nobody may be there to read it
}

// sayEvery is how often work that takes long says that it is still at it.
const sayEvery = 10 * time.Second

// saying calls say now and then until the function that it returns is called.
func (j *job) saying(ctx context.Context, say func(context.Context)) (stop func()) {
	if j.progress == io.Discard {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(sayEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				say(ctx)
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
