package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options are the same outside and inside.
type options struct {
	Dir     string // of all files; removed at the end
	Binary  string // holdfast, for the registry outside of the cluster
	Clients int
	Seed    uint64
	Keep    bool // leave the folder, for its logs
}

// The versions of the image between which the pods are updated.
const (
	before = "v0.0.1"
	after  = "v0.0.2"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var opt options
	inside := flag.Bool("inside", false, "used by the command itself")
	flag.StringVar(&opt.Dir, "dir", "", "folder to work in; empty: a temporary one")
	flag.StringVar(&opt.Binary, "binary", "bin/holdfast", "holdfast program")
	flag.IntVar(&opt.Clients, "clients", 8, "clients of the load")
	flag.Uint64Var(&opt.Seed, "seed", uint64(time.Now().UnixNano()), "of the load")
	flag.BoolVar(&opt.Keep, "keep", false, "keep the folder with the logs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *inside {
		return runInside(ctx, opt)
	}
	return runOutside(ctx, opt)
}

// runOutside builds the images, runs this program again inside, and cleans up.
func runOutside(ctx context.Context, opt options) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("kubernetes: a kubelet needs root")
	}
	if opt.Dir == "" {
		if opt.Dir, err = os.MkdirTemp("", "hk-"); err != nil {
			return fmt.Errorf("kubernetes: make folder: %w", err)
		}
	}
	if opt.Binary, err = filepath.Abs(opt.Binary); err != nil {
		return err
	}
	groups := newGroups()
	defer func() {
		err = errors.Join(err, groups.remove())
		if opt.Keep {
			fmt.Fprintln(os.Stderr, "logs are in", filepath.Join(opt.Dir, "log"))
			return
		}
		err = errors.Join(err, os.RemoveAll(opt.Dir))
	}()
	for _, version := range []string{before, after} {
		say("building the image %s", version)
		cmd := exec.CommandContext(ctx, "go", "run", "./build/image", "-arch", "amd64", "-version", version, "-out", filepath.Join(opt.Dir, "image-"+version))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("kubernetes: build image: %w\n%s", err, out)
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(opt.Dir, "wget"), "./test/kubernetes/wget")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("kubernetes: build wget: %w\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return enter(ctx, self, "-inside", "-dir", opt.Dir, "-binary", opt.Binary, "-clients", fmt.Sprint(opt.Clients), "-seed", fmt.Sprint(opt.Seed))
}

// groups are the control groups that kubelets make, where there were none before.
type groups struct{ roots []string }

func newGroups() groups {
	var g groups
	controllers, _ := filepath.Glob("/sys/fs/cgroup/*") // the pattern is right
	for _, c := range append(controllers, "/sys/fs/cgroup") {
		root := filepath.Join(c, "kubepods")
		if _, err := os.Stat(root); errors.Is(err, os.ErrNotExist) {
			g.roots = append(g.roots, root)
		}
	}
	return g
}

// remove removes the groups from the leaves up. They are empty: their processes have ended.
func (g groups) remove() error {
	var errs []error
	for _, root := range g.roots {
		var all []string
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err == nil && d.IsDir() {
				all = append(all, path)
			}
			return err
		})
		errs = append(errs, err)
		for i := len(all); i > 0; i-- {
			if err := os.Remove(all[i-1]); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// command runs a program to its end and returns what it printed.
func command(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kubernetes: %s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}
