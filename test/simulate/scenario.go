package simulate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// Scenario is a small story: what is there, who does what, and what there is to look at in the end.
type Scenario struct {
	Name    string
	Setup   []Call   // one after the other, before the schedule
	Clients [][]Call // at once; the calls of one client one after the other

	Repositories []oci.Repository
	Tags         []oci.Tag
	Manifests    []*Manifest
	Blobs        []string
	Uploads      []string

	Remembers    remembering   // what replicas remember links and fences with
	Stay         []string      // objects that the collector must leave
	Replicas     int           // at least so many
	Ahead        time.Duration // how far collectors believe the store's clock to be ahead of what it is
	PageSize     int           // of a list: 0 means that every list is one page
	SegmentBytes int64         // what a segment takes: 0 means everything
	MaxSegments  int           // that a blob may be in before the collector merges them
	Only         []fault       // none means all, but for rivals
	Rivals       bool          // and those: single faults only, since they are clients that no history knows of
	MayFail      bool          // a call may ask its client to come back, though nothing went wrong
	MayStay      bool          // and again, when it is repeated
}

// replicas is how many there are.
func (s *Scenario) replicas() int {
	n := s.Replicas
	for _, script := range append(slices.Clone(s.Clients), s.Setup) {
		for _, c := range script {
			n = max(n, c.Replica+1)
		}
	}
	return n
}

// allows reports whether the scenario's runs may have the fault.
func (s *Scenario) allows(f fault) bool {
	return f == faultNone || len(s.Only) == 0 || slices.Contains(s.Only, f)
}

func (s *Scenario) manifest(name string) *Manifest {
	for _, m := range s.Manifests {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// Call is what a client does at a replica.
type Call struct {
	Name    string
	Replica int
	Do      func(*Env)
	Once    bool // nobody repeats it when its outcome is unknown
}

// Env is what a call has to work with.
type Env struct {
	world    *world
	call     *call
	Ctx      context.Context //nolint:containedctx // a call's context lives as long as its Env
	Registry *registry.Local
}

// fact is what a call showed of one object: an operation of the model that checks the object.
type fact struct {
	object  string // "tag a t", "manifest a M1", "blob a L1", "upload u"
	do      string
	arg     string
	n       int64
	after   int64 // the offset after an append
	unknown bool  // the call's outcome is: it may take effect at any time, or never

	by        string
	call, ret int64
	end       int64 // when the call returned, known or not
}

// never is when a call returns whose outcome is unknown.
const never = int64(1) << 40

func (e *Env) saw(f fact) { e.call.facts = append(e.call.facts, f) }

// breaks notes that a call gave an answer that is never right.
func (e *Env) breaks(format string, args ...any) {
	e.world.mu.Lock()
	defer e.world.mu.Unlock()
	if !e.world.stopping {
		e.world.breaks("%s", e.call.name+" "+e.call.Name+": "+fmt.Sprintf(format, args...))
	}
}

// verdict is how a call ended.
type verdict uint8

const (
	ok      verdict = iota
	refused         // an answer to the client: nothing happened
	unknown         // it happened, or will, or not
)

// judge says how a call ended. Nothing but the client's mistake may fail unless the store, or the replica, failed this very call.
func (e *Env) judge(err error) verdict {
	var answer *oci.Error
	var many oci.Errors
	switch {
	case err == nil:
		return ok
	case errors.As(err, &many):
		return refused
	case errors.As(err, &answer) && answer.Code != oci.Unavailable && answer.Code != oci.Unknown:
		return refused
	}
	e.world.mu.Lock()
	harmed := e.call.faults > 0 || e.call.in.dead || e.world.stopping
	e.world.mu.Unlock()
	excused := e.world.scenario.MayFail && (answer != nil || errors.Is(err, context.DeadlineExceeded))
	if !harmed && !excused {
		e.breaks("failed, though nothing went wrong with it: %v", err)
	}
	return unknown
}

// harmed reports whether anything went wrong so far in this run.
func (w *world) harmed() bool {
	for f, n := range w.injected {
		if fault(f) != faultNone && fault(f) != faultLands && n > 0 {
			return true
		}
	}
	return w.stopping
}

// outcomes says what a call showed, for people.
func outcomes(facts []fact) string {
	if len(facts) == 0 {
		return "refused, nothing learnt"
	}
	parts := make([]string, len(facts))
	for i, f := range facts {
		parts[i] = f.String()
	}
	return strings.Join(parts, "; ")
}

func (f fact) String() string {
	s := f.object + ": " + f.do
	if f.arg != "" {
		s += " " + f.arg
	}
	if f.do == doAppend || f.do == doOffset {
		s += fmt.Sprintf(" (offset %d)", f.n)
	}
	if f.unknown {
		s += " — outcome unknown"
	}
	return s
}
