// Holdfast is an OCI registry: any number of identical replicas over one S3 bucket, or one process over a
// directory. This command parses, calls and turns errors into exit codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"holdfast/internal/config"
	"holdfast/internal/format"
	"holdfast/internal/record"
	"holdfast/internal/server"
)

// version is set by the build.
var version = "unknown"

// features are those of the storage format that this program knows. Tests have a program that knows more.
var features = format.Features()

// The exit codes, as sysexits.h has them where it has one.
const (
	exitFailure     = 1
	exitUsage       = 2
	exitUnavailable = 75 // EX_TEMPFAIL: the store does not answer; trying again may help
	exitConfig      = 78 // EX_CONFIG: an operator must change something; trying again does not help
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go endAtOnceOnSecondSignal(ctx)
	root := newRoot()
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	code := exitCode(err)
	if code == exitUsage {
		fmt.Fprintf(os.Stderr, "holdfast: %v\n\n%s", err, cmd.UsageString())
		return code
	}
	var silent codeError
	if errors.As(err, &silent) && silent.error == nil {
		return code
	}
	var problems config.Problems
	if errors.As(err, &problems) {
		fmt.Fprintln(os.Stderr, problems)
		return code
	}
	fmt.Fprintf(os.Stderr, "holdfast: %v\n", err)
	return code
}

// endAtOnceOnSecondSignal waits for the first signal, which begins the drain, and ends the process at the
// second. Nothing is lost by it: what was acknowledged is durable.
func endAtOnceOnSecondSignal(ctx context.Context) {
	second := make(chan os.Signal, 2)
	<-ctx.Done()
	signal.Notify(second, os.Interrupt, syscall.SIGTERM)
	<-second
	os.Exit(exitFailure)
}

// usageError is a wrong command line.
type usageError struct{ error }

func exitCode(err error) int {
	var usage usageError
	var problems config.Problems
	var coded codeError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &problems), errors.Is(err, server.ErrRefused):
		return exitConfig
	case errors.Is(err, server.ErrUnavailable), errors.Is(err, record.ErrUnavailable):
		return exitUnavailable
	}
	return exitFailure
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "holdfast",
		Short:         "An OCI registry that runs as any number of replicas over one S3 bucket, or over a directory",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(*cobra.Command, []string) error { return usageError{errors.New("a command is needed")} },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newServe(), newVerify(), newConfig(), newGC(), newRetention(), newScrub(), newFsck(), newTag(), newBackup(), newRestore(), newImport(), newExport(), newToken(), newPolicy(), newStatus(), newUpgrade(), newSecret(), newRevoke(), newQuota(), newManual(), newVersion())
	markUsage(root)
	root.Args = func(_ *cobra.Command, given []string) error {
		if len(given) > 0 {
			return usageError{fmt.Errorf("unknown command %q", given[0])}
		}
		return nil
	}
	return root
}

// markUsage makes wrong arguments of the commands below cmd usage errors.
func markUsage(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		args := sub.Args
		sub.Args = func(cmd *cobra.Command, given []string) error {
			if err := args(cmd, given); err != nil {
				return usageError{err}
			}
			return nil
		}
		markUsage(sub)
	}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "holdfast", version)
			return err
		},
	}
}
