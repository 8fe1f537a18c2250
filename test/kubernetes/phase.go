package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"holdfast/test/drills/check"
	"holdfast/test/drills/load"
)

// phase is what the clients saw while one thing happened, and for a while after it: the calls that ended then, so that one in flight at
// the beginning counts here.
type phase struct {
	name     string
	breaks   bool // requests in flight may break off
	took     time.Duration
	requests int
	failed   map[string]int // by outcome, as in check.Verdict
	longest  time.Duration
	of       string // operation that waited longest
	first    []load.Call
}

// perform does one thing while l works, and counts the calls that ended meanwhile.
func (s *site) perform(ctx context.Context, l *load.Load, name string, breaks bool, do func(context.Context) error) error {
	say("%s", name)
	l.History.SetFaulty(breaks)
	p := phase{name: name, breaks: breaks, failed: map[string]int{}}
	from := l.History.Now()
	if err := do(ctx); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.took = time.Duration(l.History.Now() - from)
	if err := sleep(ctx, 5*time.Second); err != nil {
		return err
	}
	to := l.History.Now()
	l.History.SetFaulty(false)
	for _, c := range l.History.Calls() {
		if c.Ret < from || c.Ret >= to {
			continue
		}
		p.requests++
		if wait := time.Duration(c.Wait); wait > p.longest {
			p.longest, p.of = wait, c.Op
		}
		if c.Failed() {
			p.failed[check.Outcome(c)]++
			if len(p.first) < 5 {
				p.first = append(p.first, c)
			}
		}
	}
	s.phases = append(s.phases, p)
	say("  %d requests, failed: %v, longest wait %s (%s)", p.requests, p.failed, p.longest.Round(time.Millisecond), p.of)
	for _, c := range p.first {
		say("  %s", check.Describe(c))
	}
	return nil
}

// verdict says which phases let a request fail that need not have: HTTP has no word for a process that is gone in the middle of an answer,
// for everything else it has one.
func (s *site) verdict() error {
	var errs []error
	for _, p := range s.phases {
		for outcome, n := range p.failed {
			if !p.breaks || outcome != "none" && outcome != "cut" {
				errs = append(errs, fmt.Errorf("kubernetes: %s: %d requests ended with %s", p.name, n, outcome))
			}
		}
	}
	return errors.Join(errs...)
}

// table is the phases in the form of the documentation.
func (s *site) table() string {
	var b strings.Builder
	b.WriteString("| Under load | Took | Requests | Failed | Longest wait |\n|---|---|---|---|---|\n")
	for _, p := range s.phases {
		failed := "0"
		if len(p.failed) > 0 {
			var parts []string
			for _, outcome := range slices.Sorted(maps.Keys(p.failed)) {
				parts = append(parts, fmt.Sprintf("%d (%s)", p.failed[outcome], outcome))
			}
			failed = strings.Join(parts, ", ")
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %s | %s (%s) |\n", p.name, p.took.Round(100*time.Millisecond), p.requests, failed, p.longest.Round(10*time.Millisecond), p.of)
	}
	return b.String()
}
