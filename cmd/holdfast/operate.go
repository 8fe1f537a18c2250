package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/grant"
	"holdfast/internal/operate"
	"holdfast/internal/server"
)

// How the commands find the stores that they work on.
const whereText = `

The stores are those of the configuration file; without one, ./holdfast-data. S3 is opened by the command itself, beside the
replicas. A local directory that a server has open is worked on by that server, which the command asks.`

func newGC() *cobra.Command {
	r := operate.Request{Do: operate.GC}
	var status bool
	cmd := &cobra.Command{
		Use:   "gc [config]",
		Short: "Free what nobody needs any more, now",
		Long: `Make a pass of the garbage collector over everything, now, and print what it found and freed. Replicas go on serving and
collecting meanwhile; two passes at once are refused (exit code 75).` + whereText,
		Example: "  holdfast gc --dry-run /etc/holdfast/config.json\n  holdfast gc --json --sub-path=/a /etc/holdfast/config.json | jq '.[0].report.counts'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if status {
				r.Do = operate.Status
			}
			return work(cmd, args, r)
		},
	}
	cmd.Flags().BoolVar(&status, "status", false, "print who makes a pass now, and what came of the last one; make none")
	cmd.Flags().BoolVar(&r.DryRun, "dry-run", false, "find and print, and write nothing")
	cmd.Flags().BoolVar(&r.Recent, "recent", false, "look only at what has changed lately, as the passes between full ones do")
	storeFlags(cmd, &r)
	return cmd
}

func newRetention() *cobra.Command {
	r := operate.Request{Do: operate.Retention}
	preview := &cobra.Command{
		Use:     "preview [config]",
		Short:   "Print which tags the retention rules keep and drop, and why",
		Long:    "Print for each tag whether storage.retention of the file keeps it now, and by which rule. Nothing is written." + whereText,
		Example: "  holdfast retention preview --repository=team/app /etc/holdfast/config.json",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return work(cmd, args, r) },
	}
	storeFlags(preview, &r)
	return group("retention", "Retention rules", preview)
}

func newScrub() *cobra.Command {
	r := operate.Request{Do: operate.Scrub}
	cmd := &cobra.Command{
		Use:   "scrub [config]",
		Short: "Read everything that is stored and find what is damaged",
		Long: `Make a round of the scrub now, or go on with the one that was interrupted: read every blob and manifest, 16 MiB in a second, and
compare it with its digest. A damaged blob is marked, so that clients push it again. Exit code 1: there is damage.` + whereText,
		Example: "  holdfast scrub --json /etc/holdfast/config.json",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return work(cmd, args, r) },
	}
	pathFlags(cmd, &r)
	return cmd
}

func newFsck() *cobra.Command {
	r := operate.Request{Do: operate.Fsck}
	cmd := &cobra.Command{
		Use:   "fsck [config]",
		Short: "Check that all records of a store agree with each other",
		Long: `Check every invariant of the storage format, also while replicas write, and print what is broken, what it means and what to do. The bytes
of blobs are scrub's to check. Exit code 1: something is wrong or lost; 0: nothing is, or only space is wasted.` + whereText,
		Example: "  holdfast fsck /etc/holdfast/config.json\n  holdfast fsck --repair /etc/holdfast/config.json",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return work(cmd, args, r) },
	}
	cmd.Flags().BoolVar(&r.Repair, "repair", false, "mend what can be mended without a guess; nothing is deleted")
	pathFlags(cmd, &r)
	return cmd
}

func newTag() *cobra.Command {
	history, restore := operate.Request{Do: operate.History}, operate.Request{Do: operate.Restore}
	show := &cobra.Command{
		Use:   "history REPOSITORY:TAG [config]",
		Short: "Print what a tag names, and what it named before",
		Long: `Print what a tag names, what it named before, who changed it, and until when the collector keeps that, so that it can be restored: for
gcDelay after the change at least.` + whereText,
		Example: "  holdfast tag history team/app:latest /etc/holdfast/config.json",
		Args:    cobra.RangeArgs(1, 2),
		RunE:    func(cmd *cobra.Command, args []string) error { return workOnTag(cmd, args, history) },
	}
	show.Flags().BoolVar(&history.All, "all", false, "also what it named longer ago, where the manifest is there; lists all tags that the repository ever had")
	show.Flags().BoolVar(&history.JSON, "json", false, "print JSON")
	set := &cobra.Command{
		Use:   "restore REPOSITORY:TAG [config]",
		Short: "Set a tag to what it named before it was overwritten or deleted",
		Long: `Set a tag to what it named last, or to the digest that is given, and print its history. All that the image needs is looked at and kept; if a part is
gone nothing is done. It fails when somebody else changes the tag at the same time.` + whereText,
		Example: "  holdfast tag restore team/app:latest /etc/holdfast/config.json\n" +
			"  holdfast tag restore --digest=sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 team/app:latest",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return workOnTag(cmd, args, restore) },
	}
	set.Flags().StringVar(&restore.Digest, "digest", "", "one that the tag named before, as the history has it")
	set.Flags().BoolVar(&restore.JSON, "json", false, "print JSON")
	return group("tag", "What tags named before", show, set)
}

// workOnTag is work for a command whose first argument is a tag.
func workOnTag(cmd *cobra.Command, args []string, r operate.Request) error {
	var found bool
	if r.Repository, r.Tag, found = strings.Cut(args[0], ":"); !found || r.Repository == "" {
		return usageError{fmt.Errorf("%q is not REPOSITORY:TAG", args[0])}
	}
	return work(cmd, args[1:], r)
}

func newToken() *cobra.Command {
	r := operate.Request{Do: operate.Token}
	cmd := &cobra.Command{
		Use:   "token [config]",
		Short: "Print a bearer token for the operator's endpoints",
		Long: fmt.Sprintf(`Print a bearer token that every replica of the file's store takes at /v2/_holdfast/, until its time is over: %s at most. It cannot be
taken back.`, grant.MaxTTL) + whereText,
		Example: "  curl -X POST -H \"Authorization: Bearer $(holdfast token --for=admin --ttl=1h /etc/holdfast/config.json)\" \\\n    https://registry.example/v2/_holdfast/gc",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return work(cmd, args, r) },
	}
	cmd.Flags().StringVar(&r.For, "for", grant.Admin, "what the token is for")
	cmd.Flags().DurationVar(&r.TTL, "ttl", time.Hour, "how long it is good for")
	return cmd
}

// group is a command that has only others below it.
func group(name, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: name, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q of %s", args[0], name)}
			}
			return usageError{fmt.Errorf("a command of %s is needed", name)}
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}

func storeFlags(cmd *cobra.Command, r *operate.Request) {
	cmd.Flags().StringVar(&r.Repository, "repository", "", "only this repository")
	pathFlags(cmd, r)
}

func pathFlags(cmd *cobra.Command, r *operate.Request) {
	cmd.Flags().StringVar(&r.Store, "sub-path", "", "only the store of this one of storage.subPaths; / is the one beside them")
	cmd.Flags().BoolVar(&r.JSON, "json", false, "print JSON")
}

// codeError is an error with an exit code of its own. A nil one inside is a code without a word.
type codeError struct {
	code int
	error
}

// work has a request done on the stores of the configuration file.
func work(cmd *cobra.Command, args []string, r operate.Request) error {
	cfg, _, err := load(args) // verify shows the warnings
	if err != nil {
		return err
	}
	stores, err := serverConfig(cfg)
	if err != nil {
		return err
	}
	var progress io.Writer
	if stderr := cmd.ErrOrStderr(); !r.JSON || isTerminal(stderr) {
		progress = stderr
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	code, err := server.Operate(cmd.Context(), stores, r, log, cmd.OutOrStdout(), progress)
	switch {
	case err != nil && errors.Is(cmd.Context().Err(), context.Canceled):
		return codeError{exitFailure, errors.New("interrupted; what was done stays, and the next pass goes on from it")}
	case err != nil && code == operate.Misused:
		return usageError{err}
	case code != operate.Well:
		return codeError{code, err}
	}
	return err
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
