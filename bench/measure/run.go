package measure

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/rows"
	"holdfast/bench/site"
	"holdfast/test/cluster"
)

// Options are what is the same for all rows.
type Options struct {
	Rounds  int
	Span    time.Duration // of each round
	Latency time.Duration // added to each S3 request while time is measured
	Peers   []site.Kind   // beside Holdfast, where the site has them
	// Cache has distribution keep what it knows of blobs in memory.
	Cache bool
	// Profiles is a folder for a CPU profile of Holdfast in each row, <row>.pprof, of the last round that is measured by time; empty: none.
	Profiles string
}

// Runner measures rows at a site. One row at a time.
type Runner struct {
	site *site.Site
	opt  Options
	log  *slog.Logger
}

// New returns a runner.
func New(s *site.Site, opt Options, log *slog.Logger) *Runner {
	return &Runner{site: s, opt: opt, log: log}
}

// Row measures one row: a line for each subject, ours first. A subject that cannot be started or prepared has a line that says why. The
// error is that of ctx, or of what could not be cleared away.
func (r *Runner) Row(ctx context.Context, row rows.Row) ([]Line, error) {
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails
	var pairs []*pair
	for _, setup := range r.setups(row) {
		pairs = append(pairs, &pair{setup: setup, seed: seed})
	}
	groups := [][]*pair{pairs}
	if row.Alone {
		groups = groups[:0]
		for _, p := range pairs {
			groups = append(groups, []*pair{p})
		}
	}
	var failed error
	for _, group := range groups {
		r.measure(ctx, row, group)
		for _, p := range group {
			failed = errors.Join(failed, p.stop())
		}
	}
	var lines []Line
	for _, p := range pairs {
		line := Line{Row: row.Name, Title: row.Title, Subject: p.setup.Name, State: row.State, Clients: row.Clients}
		if !row.Local {
			line.Latency = r.latency(row).String()
		}
		line.fill(row, p.rounds)
		if p.err != nil {
			line.Errors++
			line.Error = p.err.Error()
		}
		lines = append(lines, line)
	}
	return lines, errors.Join(failed, ctx.Err())
}

func (r *Runner) latency(row rows.Row) time.Duration {
	if row.Latency != 0 {
		return row.Latency
	}
	return r.opt.Latency
}

// setups are the row's subjects.
func (r *Runner) setups(row rows.Row) (all []site.Setup) {
	if len(row.Instead) > 0 {
		return row.Instead
	}
	all = append(all, site.Setup{Kind: site.Holdfast, Name: string(site.Holdfast), Local: row.Local})
	for _, v := range row.Variants {
		v.Local = row.Local
		all = append(all, v)
	}
	all[0].Profiled = r.opt.Profiles != ""
	if row.Ours {
		return all
	}
	for _, kind := range slices.Concat(r.opt.Peers, row.Extra) {
		if !slices.Contains(row.Without, kind) && r.site.Has(kind) {
			setup := site.Setup{Kind: kind, Name: string(kind), Local: row.Local}
			setup.Search = row.Search && kind == site.Zot
			setup.Cache = r.opt.Cache && kind == site.Distribution
			all = append(all, setup)
		}
	}
	return all
}

// pair is a subject and its clients.
type pair struct {
	setup  site.Setup
	seed   [32]byte
	target *rows.Target
	op     load.Operation
	rounds []round
	err    error // why it is not measured further
}

func (p *pair) stop() error {
	if p.target == nil {
		return nil
	}
	p.target.Client.Close()
	if p.target.S3 != nil {
		p.target.S3.Close()
	}
	return p.target.Stop()
}

// measure starts a group of subjects and measures them by turns.
func (r *Runner) measure(ctx context.Context, row rows.Row, group []*pair) {
	for _, p := range group {
		began := time.Now()
		if p.err = r.start(ctx, row, p); p.err == nil && !row.Anew {
			p.op, p.err = row.Prepare(ctx, p.target)
		}
		r.log.Info("prepared", "row", row.Name, "subject", p.setup.Name, "took", time.Since(began).Round(time.Millisecond), "err", p.err)
	}
	n := r.opt.Rounds
	if row.Rounds > 0 {
		n = min(n, row.Rounds)
	}
	for i := range n {
		for j := range group {
			p := group[(i+j)%len(group)]
			if p.err != nil || ctx.Err() != nil {
				continue
			}
			one, err := r.round(ctx, row, p)
			p.err = err
			if err == nil {
				p.rounds = append(p.rounds, one)
			}
			r.log.Info("measured", "row", row.Name, "subject", p.setup.Name, "round", i+1, "operations", len(one.result.Took), "cpu", one.cpu, "own_cpu", one.own,
				"rate", fmt.Sprintf("%.1f", one.result.Rate), "errors", one.result.Errors, "err", errors.Join(err, one.result.Err))
		}
	}
}

// ownCPU is what the clients and the proxies took so far, 0 where nobody can say.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return (time.Duration(u.Utime.Nano()) + time.Duration(u.Stime.Nano())).Round(time.Millisecond)
}

func (r *Runner) start(ctx context.Context, row rows.Row, p *pair) error {
	subject, err := r.site.Start(ctx, p.setup)
	if err != nil {
		return err
	}
	p.target = &rows.Target{Subject: subject, Client: load.NewClient(subject.URL), Content: load.NewContent(p.seed)}
	if p.setup.Kind == site.Direct {
		p.target.S3 = load.NewS3(subject.URL, subject.Bucket, cluster.Region, cluster.AccessKey, cluster.SecretKey)
	}
	return nil
}

// given waits until the subject has nothing more to give to the shared cache, for 3 s at most: what waits when it ends is dropped.
func given(ctx context.Context, t *rows.Target) error {
	before, err := t.SharedCalls(ctx)
	for began := time.Now(); err == nil && time.Since(began) < 3*time.Second; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		now, failed := t.SharedCalls(ctx)
		if err = failed; now.Given == before.Given {
			break
		}
		before = now
	}
	return err
}

// quiet waits until the subject has asked the store nothing for 0.3 s, or for 3 s at most: a replica asks something about once a second for good.
func quiet(ctx context.Context, t *rows.Target) {
	began, last := time.Now(), time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for before := t.Counts().Total(); time.Since(last) < 300*time.Millisecond && time.Since(began) < 3*time.Second; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := t.Counts().Total(); now != before {
			before, last = now, time.Now()
		}
	}
}

// round prepares what is to be prepared for each round, and measures.
func (r *Runner) round(ctx context.Context, row rows.Row, p *pair) (one round, err error) {
	t := p.target
	if row.Anew {
		if p.op, err = row.Prepare(ctx, t); err != nil {
			return round{}, err
		}
	}
	if row.Cold && row.Quiet {
		if err := given(ctx, t); err != nil {
			return round{}, err
		}
	}
	if row.Cold {
		t.Client.Close() // a server that ends waits five seconds for a connection on which nothing was asked yet
		if _, err := t.Restart(ctx); err != nil {
			return round{}, err
		}
	}
	if row.Quiet {
		quiet(ctx, t)
	}
	if t.Proxy != nil {
		t.Proxy.SetLatency(r.latency(row))
		t.Proxy.SetLimit(row.Limit)
		defer func() {
			t.Proxy.SetLatency(0)
			t.Proxy.SetLimit(0)
		}()
	}
	if err := t.ResetPeak(); err != nil {
		return round{}, err
	}
	before, err := t.Usage()
	if err != nil {
		return round{}, err
	}
	counts := t.Counts()
	span := r.opt.Span
	if row.Once {
		span = 0
	}
	shared, err := t.SharedCalls(ctx)
	if err != nil {
		return round{}, err
	}
	profiled := func() error { return nil }
	if p.setup.Profiled && span > 0 && row.Times == 0 {
		profiled = r.profile(ctx, row, t, span)
	}
	own := ownCPU()
	if row.Times > 0 {
		one.result = load.Times(ctx, row.Clients, row.Times, p.op)
	} else {
		one.result = load.Run(ctx, row.Clients, span, p.op)
	}
	one.own = ownCPU() - own
	if err := profiled(); err != nil {
		return one, err
	}
	after, err := t.Usage()
	if err != nil {
		return one, err
	}
	one.cpu, one.peak = after.CPU-before.CPU, after.Peak
	if one.cpu < 0 { // the operation has restarted it
		one.cpu = after.CPU
	}
	one.counts = t.Counts().Since(counts)
	calls, err := t.SharedCalls(ctx)
	one.shared = calls.Since(shared)
	return one, err
}

// profile begins a profile of the next seconds, and returns what waits for its end.
func (r *Runner) profile(ctx context.Context, row rows.Row, t *rows.Target, span time.Duration) (wait func() error) {
	ended := make(chan error, 1)
	go func() {
		file, err := os.Create(filepath.Join(r.opt.Profiles, row.Name+".pprof"))
		if err == nil {
			err = errors.Join(t.Profile(ctx, max(1, int(span.Seconds())), file), file.Close())
		}
		ended <- err
	}()
	return func() error { return <-ended }
}
