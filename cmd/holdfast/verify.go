package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"holdfast/internal/config"
	"holdfast/internal/server"
)

func newVerify() *cobra.Command {
	var probe bool
	cmd := &cobra.Command{
		Use:   "verify [config] FILE",
		Short: "Check a configuration file, all of it at once",
		Long: "Check a configuration file and list every problem and warning. With --probe the stores that it\n" +
			"names are tested as well: what S3 really does with conditional writes, permissions, the clock.",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				if args[0] != "config" {
					return usageError{fmt.Errorf("unknown subject %q", args[0])}
				}
				args = args[1:]
			}
			if _, err := os.Stat(args[0]); args[0] == "config" && err != nil {
				return usageError{errors.New("which file? holdfast verify config FILE")}
			}
			return verify(cmd, args[0], probe)
		},
	}
	cmd.Flags().BoolVar(&probe, "probe", false, "also test the stores")
	return cmd
}

func verify(cmd *cobra.Command, path string, probe bool) error {
	cfg, report, err := config.Load(path, os.LookupEnv)
	out := cmd.OutOrStdout()
	for _, w := range report.Warnings {
		if _, err := fmt.Fprintln(out, w); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if probe {
		log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelError}))
		stores, err := serverConfig(cfg)
		if err != nil {
			return err
		}
		if err := server.Probe(cmd.Context(), stores, log, out); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "%s is valid: %d warnings\n", path, len(report.Warnings))
	return err
}
