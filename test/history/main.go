package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"holdfast/test/cluster"
	"holdfast/test/history/call"
	"holdfast/test/history/judge"
	"holdfast/test/history/site"
	"holdfast/test/history/trial"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

const exitFailed = 2

// flags are the command line.
type flags struct {
	trial.Options
	target string
	binary string
	store  string
	zot    string
	check  string
	out    string
}

func parse(args []string, errs io.Writer) (f flags, err error) {
	set := flag.NewFlagSet("history", flag.ContinueOnError)
	set.SetOutput(errs)
	set.Uint64Var(&f.Seed, "seed", uint64(time.Now().UnixNano()%1e6), "decides what the clients do and which faults there are")
	set.DurationVar(&f.Time, "time", time.Minute, "how long the clients work")
	set.IntVar(&f.Clients, "clients", 8, "how many clients work at once")
	set.Float64Var(&f.Rate, "rate", 50, "answered calls a second below which nothing is proven")
	set.BoolVar(&f.Faults, "faults", false, "kill and stop replicas, and make the store fail, meanwhile")
	set.BoolVar(&f.Tags, "tags", false, "push and read tags only")
	set.BoolVar(&f.Judge.Relaxed, "relaxed", false, "a delete may be acknowledged where nothing was")
	set.StringVar(&f.target, "target", "", "URLs of an installation that runs, separated by commas, the balancer first")
	set.StringVar(&f.binary, "binary", "", "the holdfast program; empty: it is built")
	set.StringVar(&f.store, "store", cluster.VersityGW, "the S3 store to start: versitygw or ceph")
	set.StringVar(&f.zot, "zot", os.Getenv("ZOT"), "a zot program to check instead; default $ZOT")
	set.StringVar(&f.check, "check", "", "a history to judge again; nothing is started")
	set.StringVar(&f.out, "out", "", "folder for history.jsonl, faults.jsonl and pictures of what is broken")
	if err := set.Parse(args); err != nil {
		return f, err
	}
	if set.NArg() > 0 {
		return f, fmt.Errorf("history: %q is no flag", set.Arg(0))
	}
	return f, nil
}

func run(args []string, out, errs io.Writer) int {
	f, err := parse(args, errs)
	if err != nil {
		fmt.Fprintln(errs, err) //nolint:errcheck // nobody to tell
		return exitFailed
	}
	f.Log = errs
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := f.result(ctx)
	if err == nil {
		err = f.save(r, out)
	}
	if err != nil {
		fmt.Fprintln(errs, err) //nolint:errcheck // nobody to tell
		return exitFailed
	}
	return int(r.Conclusion())
}

func (f *flags) result(ctx context.Context) (*trial.Result, error) {
	if f.check != "" {
		calls, err := call.Read(f.check)
		if err != nil {
			return nil, err
		}
		return &trial.Result{Verdict: judge.History(calls, f.Judge), History: calls}, nil
	}
	s, err := f.site(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(f.Log, "seed %d\n", f.Seed) //nolint:errcheck // progress only
	r, err := trial.Run(ctx, s, f.Options)
	if stopErr := s.Stop(); err == nil {
		err = stopErr
	}
	return r, err
}

func (f *flags) site(ctx context.Context) (*site.Site, error) {
	if f.target != "" {
		return site.Running(strings.Split(f.target, ","))
	}
	opt := site.Options{Binary: f.binary, Store: f.store, HAProxy: "deploy/haproxy/haproxy.cfg", Faults: f.Faults, Log: f.Log}
	if f.zot != "" {
		opt.Binary, opt.Zot, opt.HAProxy = f.zot, true, ""
	}
	if opt.Binary == "" {
		dir, err := os.MkdirTemp("", "holdfast-history-")
		if err != nil {
			return nil, fmt.Errorf("history: %w", err)
		}
		defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder; a program that runs needs no file
		if opt.Binary, err = cluster.Build(ctx, dir); err != nil {
			return nil, err
		}
		return site.Start(ctx, opt)
	}
	return site.Start(ctx, opt)
}

// save prints what was found and writes the files of -out.
func (f *flags) save(r *trial.Result, out io.Writer) error {
	if _, err := fmt.Fprint(out, r); err != nil {
		return err
	}
	if f.out == "" {
		return nil
	}
	if err := os.MkdirAll(f.out, 0o750); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if err := call.Write(filepath.Join(f.out, "history.jsonl"), r.History); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(f.out, "faults.jsonl"), r.Events); err != nil {
		return err
	}
	for n := range r.Problems {
		if err := writeView(filepath.Join(f.out, fmt.Sprintf("problem-%d.html", n+1)), &r.Problems[n]); err != nil {
			return err
		}
	}
	return nil
}

func writeJSON(file string, events []site.Event) error {
	var text strings.Builder
	enc := json.NewEncoder(&text)
	for _, e := range events {
		if err := enc.Encode(e); err != nil {
			return fmt.Errorf("history: write faults: %w", err)
		}
	}
	return os.WriteFile(file, []byte(text.String()), 0o600)
}

func writeView(file string, p *judge.Problem) error {
	var page strings.Builder
	if drawn, err := p.View(&page); err != nil || !drawn {
		return err
	}
	return os.WriteFile(file, []byte(page.String()), 0o600)
}
