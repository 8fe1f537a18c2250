package trial

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"holdfast/test/history/call"
	"holdfast/test/history/judge"
	"holdfast/test/history/site"
	"holdfast/test/history/store"
	"holdfast/test/history/work"
)

// Options say how large a trial is.
type Options struct {
	Seed    uint64
	Time    time.Duration // how long the clients work
	Clients int           // 0: 8
	Rate    float64       // answered calls a second below which a trial proves nothing
	Faults  bool          // replicas are killed and stopped, the store fails
	Tags    bool          // nothing but tags
	Judge   judge.Options
	Log     io.Writer // a line for each step
}

// Result is what a trial found.
type Result struct {
	*judge.Verdict
	History []call.Call
	Events  []site.Event
	Rate    float64 // answered calls a second, while the clients worked
	Wanted  float64
	Store   *store.Report // nil: the store was not looked at
}

// Conclusion is what a trial says as a whole.
type Conclusion int

// The conclusions, in the form of exit codes.
const (
	Holds        Conclusion = 0
	Broken       Conclusion = 1
	Inconclusive Conclusion = 3
)

// Conclusion says what was found. A rule that is broken is broken however little was asked; that none is says something
// only if enough was.
func (r *Result) Conclusion() Conclusion {
	switch {
	case !r.Sound(), r.Store != nil && len(r.Store.Problems) > 0:
		return Broken
	case r.Rate < r.Wanted || len(r.Undecided) > 0:
		return Inconclusive
	}
	return Holds
}

// Run makes a history at s and judges it.
func Run(ctx context.Context, s *site.Site, opt Options) (*Result, error) {
	say := func(format string, args ...any) {
		if opt.Log != nil {
			fmt.Fprintf(opt.Log, format+"\n", args...) //nolint:errcheck // progress only
		}
	}
	prefix := "history-" + strings.ToLower(rand.Text()[:10])
	w := work.Run(ctx, work.Options{Seed: opt.Seed, Clients: opt.Clients, Prefix: prefix, Targets: s.Targets(), Tags: opt.Tags})
	defer w.Stop()
	r := &Result{Wanted: opt.Rate}
	began := time.Now()
	if err := disturb(ctx, s, opt, w, func(e site.Event) {
		say("%8.3fs %s", time.Duration(e.At).Seconds(), e.What)
		r.Events = append(r.Events, e)
	}); err != nil {
		return nil, err
	}
	w.Stop()
	took := time.Since(began)
	answered := 0
	for _, c := range w.Log.Calls() {
		if !c.Failed() {
			answered++
		}
	}
	r.Rate = float64(answered) / took.Seconds()
	say("%d calls in %s, %.0f answered a second; reading everything back", w.Log.Len(), took.Round(time.Millisecond), r.Rate)
	w.ReadBack(ctx, s.Direct())
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("trial: broken off: %w", err)
	}
	r.History = w.Log.Calls()
	opt.Judge.Prefix = prefix
	r.Verdict = judge.History(r.History, opt.Judge)
	if place, ok := s.Place(); ok {
		contents, err := store.Read(ctx, place)
		if err != nil {
			return nil, err
		}
		r.Store = store.Check(contents, s.Remember(r.History), !opt.Faults)
	}
	return r, nil
}

// disturb lets the time of a trial pass, with faults or without.
func disturb(ctx context.Context, s *site.Site, opt Options, w *work.Work, note func(site.Event)) error {
	ctx, cancel := context.WithTimeout(ctx, opt.Time)
	defer cancel()
	var faults sync.WaitGroup
	var err error
	if opt.Faults {
		faults.Go(func() { err = s.Disturb(ctx, opt.Seed, w.Log.Now, note) })
	}
	<-ctx.Done()
	faults.Wait()
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}
