// Command withs3 runs a command while real S3 servers run:
//
//	go run ./test/cmd/withs3 [-store versitygw,ceph] -- go test -race ./...
//
// The command finds them in HOLDFAST_TEST_S3, as "name=url|url,name=url|url",
// keys test and testtest. withs3 ends the servers when the command has ended and
// exits as it did.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"holdfast/test/cluster"
)

func main() { os.Exit(run()) }

func run() int {
	stores := flag.String("store", cluster.VersityGW+","+cluster.Ceph, "the servers to start")
	quiet := flag.Bool("q", false, "do not tell about each step")
	flag.Usage = func() {
		_, _ = fmt.Fprintln(flag.CommandLine.Output(), "usage: withs3 [-q] [-store versitygw,ceph] -- command [argument ...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		return 2
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	started := make(chan struct{})
	go func() { // a signal before the servers are there ends their start
		select {
		case sig := <-signals:
			signals <- sig
			cancel()
		case <-started:
		}
	}()
	log := os.Stderr
	if *quiet {
		log = nil
	}
	servers, err := startS3(ctx, log, strings.Split(*stores, ","))
	close(started)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := command(ctx, flag.Args(), "HOLDFAST_TEST_S3="+servers.Env(), signals)
	if err := servers.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

func startS3(ctx context.Context, log *os.File, names []string) (*cluster.Servers, error) {
	if log == nil {
		return cluster.StartS3(ctx, nil, names...)
	}
	return cluster.StartS3(ctx, log, names...)
}

// command runs args with env added, passes signals on, and returns the exit
// code: 128 and the signal's number where one ended it, as a shell does. A third
// signal kills it.
func command(ctx context.Context, args []string, env string, signals <-chan os.Signal) int {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), env)
	// A group of its own: Ctrl-C reaches it once, from us, with all that it started.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "withs3:", err)
		return 127
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for seen := 1; ; seen++ {
		select {
		case err := <-done:
			return exitCode(err)
		case sig := <-signals:
			pass, ok := sig.(syscall.Signal)
			if !ok || seen > 2 {
				pass = syscall.SIGKILL
			}
			if err := syscall.Kill(-cmd.Process.Pid, pass); err != nil && !errors.Is(err, syscall.ESRCH) {
				fmt.Fprintln(os.Stderr, "withs3: pass", pass, "on:", err)
			}
		}
	}
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "withs3:", err)
		return 1
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}
