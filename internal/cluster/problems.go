package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Severity is how bad a problem is.
type Severity string

// The severities. Only what is wrong makes a cluster not well.
const (
	Wrong Severity = "wrong" // somebody should look, now
	Note  Severity = "note"  // it is so, and may be meant
)

// Problem is something that a person on call should know.
type Problem struct {
	Severity Severity `json:"severity"`
	Kind     string   `json:"kind"`              // of a fixed set, for programs: docs/api.md lists them
	Subject  string   `json:"subject,omitempty"` // the id of a process, or the path of a store
	Text     string   `json:"text"`
}

// From when on something is a problem.
const (
	errorShare  = 20               // one request, or answer of the store, in so many
	fewRequests = 20               // fewer than so many in a minute tell nothing
	clockLimit  = time.Minute      // offset of a host's clock
	passLimit   = 48 * time.Hour   // since the end of the last pass
	lostLimit   = time.Hour        // a process that is lost for so long is not news
	cutOffAfter = 15 * time.Minute // a pass that was cut off is gone on with by then
)

// finder gathers problems.
type finder struct {
	view View
	list []Problem
}

func (f *finder) add(s Severity, kind, subject, format string, args ...any) {
	f.list = append(f.list, Problem{Severity: s, Kind: kind, Subject: subject, Text: fmt.Sprintf(format, args...)})
}

// problems are those of a view, what is wrong first.
func problems(v View) []Problem {
	f := &finder{view: v, list: []Problem{}}
	f.service()
	for _, r := range v.Replicas {
		f.replica(r)
	}
	for _, s := range v.Stores {
		f.store(s)
	}
	slices.SortStableFunc(f.list, func(a, b Problem) int { return -cmp.Compare(a.Severity, b.Severity) })
	return f.list
}

func (f *finder) service() {
	ready := 0
	versions, graces := map[string]bool{}, map[int64]bool{}
	for _, r := range f.view.Replicas {
		if r.Role == Replica && r.State == Ready {
			ready++
		}
		if r.Role == Replica && r.State != Lost {
			versions[r.Version] = true
		}
		if r.State != Lost && r.GraceSeconds > 0 {
			graces[r.GraceSeconds] = true
		}
	}
	if ready == 0 {
		f.add(Wrong, "none-ready", "", "no replica is ready: clients are not served")
	}
	if len(graces) > 1 {
		var each []string
		for _, g := range slices.Sorted(maps.Keys(graces)) {
			each = append(each, (time.Duration(g) * time.Second).String())
		}
		f.add(Wrong, "grace-differs", "", "gcDelay is not the same everywhere (%s): one collects what another has just said exists", strings.Join(each, ", "))
	}
	if len(versions) > 1 {
		f.add(Note, "versions-differ", "", "%d versions run at once: a rolling upgrade is under way, or was left half-way", len(versions))
	}
}

func (f *finder) replica(r Peer) {
	age := f.view.At.Sub(r.Seen).Round(time.Second)
	switch {
	case r.State == Lost && r.Role == Command:
		f.add(Note, "command-lost", r.ID, "a command ended without a word %s ago, or does not reach the store", age)
	case r.State == Lost && (age > lostLimit || f.replaced(r)):
		f.add(Note, "replica-lost", r.ID, "it ended without a word %s ago, or does not reach the store", age)
	case r.State == Lost:
		f.add(Wrong, "replica-lost", r.ID, "no heartbeat for %s, and it did not say that it ends: the process or its host is gone, or does not reach the store", age)
	case r.State == NotReady:
		f.add(Wrong, "replica-not-ready", r.ID, "it is not ready: %s", r.Why)
	case r.State == Draining:
		f.add(Note, "replica-draining", r.ID, "it ends")
	}
	if r.State == Lost || r.Role == Command {
		return
	}
	if t := r.Store; t.Total >= fewRequests && t.Failed*errorShare >= t.Total {
		f.add(Wrong, "store-errors", r.ID, "%d of %d requests to the store failed in the last minute", t.Failed, t.Total)
	}
	if t := r.Requests; t.Total >= fewRequests && t.ServerErrors*errorShare >= t.Total {
		f.add(Wrong, "server-errors", r.ID, "%d of %d requests were answered with a 5xx in the last minute", t.ServerErrors, t.Total)
	}
	if offset := time.Duration(r.ClockOffsetSeconds * float64(time.Second)); offset.Abs() > clockLimit {
		f.add(Wrong, "clock", r.ID, "the store's clock is %s ahead of the host's: at 15 minutes S3 refuses every request", offset.Round(time.Second))
	}
}

// replaced reports whether another process came up in place of one that is lost.
func (f *finder) replaced(lost Peer) bool {
	return slices.ContainsFunc(f.view.Replicas, func(r Peer) bool {
		return r.State != Lost && r.Role == lost.Role && r.Host == lost.Host && r.Address == lost.Address && r.Since.After(lost.Since)
	})
}

func (f *finder) store(s Store) {
	for _, text := range s.Errors {
		f.add(Wrong, "store-unreadable", s.Path, "%s", text)
	}
	for _, feature := range s.Features {
		f.feature(s, feature)
	}
	if t := s.SelfTest; t != nil {
		for _, w := range t.Warnings {
			f.add(Note, "self-test", s.Path, "%s", w)
		}
		if !t.CanDelete && s.Collector != nil && s.Collector.Enabled {
			f.add(Wrong, "cannot-delete", s.Path, "the credentials may not delete, so the collector frees nothing")
		}
	}
	if c := s.Collector; c != nil && c.Enabled {
		f.collector(s.Path, c)
	}
	if r := s.Scrub; r != nil && r.Damaged > 0 {
		f.add(Wrong, "damaged", s.Path, "%d things that are stored are damaged: holdfast scrub names them; pushing an image again heals its blobs", r.Damaged)
	}
}

func (f *finder) feature(s Store, feature FeatureState) {
	if feature.Announced {
		f.add(Note, "feature-announced", s.Path, "the feature %s is about to be enabled, or whoever tried was cut off: holdfast upgrade tells", feature.Name)
	}
	if !feature.Enabled {
		return
	}
	var old []string
	for _, r := range f.view.Replicas {
		if r.State != Lost && !slices.Contains(r.Features, feature.Name) {
			old = append(old, r.ID)
		}
	}
	if len(old) > 0 {
		f.add(Wrong, "feature-unknown", s.Path, "the feature %s is enabled, and not known to %s: they write no more", feature.Name, strings.Join(old, ", "))
	}
}

func (f *finder) collector(path string, c *Collector) {
	since := func(t time.Time) time.Duration { return f.view.At.Sub(t).Round(time.Second) }
	switch {
	case c.Last != nil && c.Last.Failed != "":
		f.add(Wrong, "collector-failed", path, "the last pass of the collector ended early: %s", c.Last.Failed)
	case c.Running != nil && c.Holder == "" && since(c.Running.Started) > cutOffAfter:
		f.add(Note, "collector-cut-off", path, "a pass of the collector was cut off, and nobody goes on with it")
	}
	if c.Holder == "" && !c.Ended.IsZero() && since(c.Ended) > passLimit {
		f.add(Wrong, "collector-late", path, "no pass of the collector has ended for %s", since(c.Ended))
	}
}
