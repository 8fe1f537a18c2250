// Command bench measures Holdfast, and its peers beside it in the same run:
//
//	go run ./bench -only 'image-push|layer-push'
//
// docs/benchmarks.md says what its lines mean.
package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"holdfast/bench/measure"
	"holdfast/bench/report"
	"holdfast/bench/rows"
	"holdfast/bench/site"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct {
	binary, source, set, only, dir, buckets, profiles, out, report, compare string
	peers, quick, full, list, cache                                         bool
	rounds                                                                  int
	span, latency                                                           time.Duration
}

func parse() (o options) {
	flag.StringVar(&o.binary, "binary", "", "holdfast `program`; empty: built from -source")
	flag.StringVar(&o.source, "source", ".", "`folder` of the source that is built")
	flag.StringVar(&o.set, "set", "table", "which rows: table, more, scaling (one replica and three), all of these; caches (nothing remembered, own memory, Redis, DynamoDB)")
	flag.StringVar(&o.only, "only", "", "only rows whose whole names match this regular `expression`")
	flag.StringVar(&o.buckets, "buckets", "", "`folder` for the files of the S3 server, for instance one in memory; empty: that of -dir")
	flag.StringVar(&o.profiles, "profiles", "", "`folder` for a CPU profile of Holdfast in each row, for go tool pprof; it takes some percent of the speed")
	flag.StringVar(&o.dir, "dir", "", "`folder` for all that the servers write; empty: a temporary one")
	flag.StringVar(&o.out, "out", "bench-out", "`folder` for results.json, results.txt (of other sets more.txt, ...) and plots")
	flag.StringVar(&o.report, "report", "", "a second `folder` for them, as docs/bench")
	flag.StringVar(&o.compare, "compare", "", "a results.json of before: Holdfast's lines of both are shown beside each other")
	flag.BoolVar(&o.peers, "peers", false, "distribution too ($DISTRIBUTION, or scripts/tools.sh bench) and zot ($ZOT)")
	flag.BoolVar(&o.cache, "distribution-cache", false, "distribution with its cache in memory, which is for one process alone")
	flag.BoolVar(&o.quick, "quick", false, "small sizes, two short rounds: five minutes")
	flag.BoolVar(&o.full, "full", false, "the sizes that need 60 GB of disk and an hour")
	flag.BoolVar(&o.list, "list", false, "list the rows")
	flag.IntVar(&o.rounds, "rounds", 0, "`number` of rounds; 0: 3, quick 2")
	flag.DurationVar(&o.span, "time", 0, "of each round; 0: 3s, quick 1s")
	flag.DurationVar(&o.latency, "latency", 10*time.Millisecond, "added to each S3 request")
	flag.Parse()
	if o.rounds == 0 {
		o.rounds = 3
		if o.quick {
			o.rounds = 2
		}
	}
	if o.span == 0 {
		o.span = 3 * time.Second
		if o.quick {
			o.span = time.Second
		}
	}
	return o
}

func run() (err error) {
	o := parse()
	chosen, err := choose(o)
	if err != nil {
		return err
	}
	if o.list {
		for _, row := range chosen {
			fmt.Printf("%-22s %3d clients  %s\n", row.Name, row.Clients, row.Title)
		}
		return nil
	}
	var before *report.Report
	if o.compare != "" {
		if before, err = report.Read(o.compare); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))

	made := &report.Report{Machine: report.ThisMachine(), Date: time.Now(), Versions: map[string]string{}, Options: map[string]string{}}
	if o.set != "table" {
		made.Name = o.set
	}
	flag.Visit(func(f *flag.Flag) {
		if !slices.Contains([]string{"binary", "source", "dir", "buckets", "profiles", "out", "report"}, f.Name) { // a machine's own paths
			made.Options[f.Name] = f.Value.String()
		}
	})

	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "holdfast-bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	}
	if o.binary == "" {
		log.Info("building", "source", o.source)
		if o.binary, err = build(ctx, o.source, o.dir); err != nil {
			return err
		}
	}
	binaries, err := site.Binaries(o.binary, o.peers)
	if err != nil {
		return err
	}
	for kind, path := range binaries {
		made.Versions[string(kind)] = version(path)
	}
	if err := o.folders(made); err != nil {
		return err
	}
	if o.buckets != "" {
		defer func() { err = errors.Join(err, os.RemoveAll(o.buckets)) }()
	}
	place, err := site.New(o.dir, o.buckets, binaries)
	if err != nil {
		return err
	}
	defer place.Close()

	opt := measure.Options{Rounds: o.rounds, Span: o.span, Latency: o.latency, Cache: o.cache, Profiles: o.profiles}
	if o.peers {
		opt.Peers = []site.Kind{site.Zot, site.Distribution}
	}
	runner := measure.New(place, opt, log)
	var failed error
	for _, row := range chosen {
		var lines []measure.Line
		lines, failed = runner.Row(ctx, row)
		made.Lines = append(made.Lines, lines...)
		// What is there is kept, whatever comes.
		made.Verdicts = report.Judge(made.Lines, rows.Bars())
		for _, dir := range []string{o.out, o.report} {
			if dir != "" {
				failed = errors.Join(failed, made.Write(dir))
			}
		}
		if failed != nil {
			break
		}
	}
	if err := made.Table(os.Stdout); err != nil || before == nil {
		return errors.Join(failed, err)
	}
	return errors.Join(failed, made.Compare(os.Stdout, before))
}

// folders makes those for profiles and for the S3 server's files, a new one in the folder that was named, where they are to be, and notes that they are there.
func (o *options) folders(made *report.Report) (err error) {
	if o.profiles != "" {
		if err := os.MkdirAll(o.profiles, 0o750); err != nil {
			return err
		}
		made.Options["profiles"] = "taken"
	}
	if o.buckets != "" {
		made.Options["buckets"] = "in a folder of their own"
		o.buckets, err = os.MkdirTemp(o.buckets, "holdfast-bench-")
	}
	return err
}

func choose(o options) (chosen []rows.Row, err error) {
	size := rows.Normal
	switch {
	case o.quick:
		size = rows.Quick
	case o.full:
		size = rows.Full
	}
	all := rows.Table(size)
	switch o.set {
	case "table":
	case "more":
		all = rows.More(size)
	case "scaling":
		all = rows.Scaling(size)
	case "all":
		all = slices.Concat(all, rows.More(size), rows.Scaling(size))
	case "caches":
		all = rows.Caches(size)
	default:
		return nil, fmt.Errorf("bench: -set %s: want table, more, scaling, all or caches", o.set)
	}
	if o.only == "" {
		return all, nil
	}
	match, err := regexp.Compile("^(?:" + o.only + ")$")
	if err != nil {
		return nil, fmt.Errorf("bench: -only: %w", err)
	}
	for _, row := range all {
		if match.MatchString(row.Name) {
			chosen = append(chosen, row)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("bench: -only %s: no such row; -list lists them", o.only)
	}
	return chosen, nil
}

// build builds the program as make build does.
func build(ctx context.Context, source, dir string) (string, error) {
	file, err := filepath.Abs(filepath.Join(dir, "holdfast"))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-p", "2", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", file, "./cmd/holdfast")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("bench: build holdfast: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return file, nil
}

// version is what a program says of itself, without being run: its module and version, or the name of its file.
func version(path string) string {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return filepath.Base(path)
	}
	return info.Main.Path + " " + info.Main.Version
}
