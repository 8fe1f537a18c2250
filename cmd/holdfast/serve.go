package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"holdfast/internal/config"
	"holdfast/internal/server"
)

// enoughDescriptors is how many files and connections a replica under load has open at most, about: two
// for every request in flight, and the store's idle ones.
const enoughDescriptors = 4096

func newServe() *cobra.Command {
	var exitIfUnavailable bool
	cmd := &cobra.Command{
		Use:   "serve [config]",
		Short: "Serve a registry",
		Long: "Serve a registry, as the configuration file says (zot's format, JSON or YAML).\n" +
			"Without a file it serves 127.0.0.1:8080 from ./holdfast-data.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return serve(cmd.Context(), args, exitIfUnavailable, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&exitIfUnavailable, "exit-if-unavailable", false, "exit with code 75 when the store does not answer within 10 s, instead of trying on")
	return cmd
}

func serve(ctx context.Context, args []string, exitIfUnavailable bool, stderr io.Writer) (err error) {
	seen := fingerprint(args)
	cfg, report, err := load(args)
	if err != nil {
		return err
	}
	var level slog.LevelVar
	level.Set(cfg.Log.Level)
	log, closeLog, err := openLog(cfg.Log.Output, &level)
	if err != nil {
		return fmt.Errorf("%w: %w", server.ErrRefused, err)
	}
	defer closeLog()
	for _, w := range report.Warnings {
		log.WarnContext(ctx, "configuration", "key", w.Path, "warning", w.Text)
	}
	if limit := descriptorLimit(); limit > 0 && limit < enoughDescriptors {
		log.WarnContext(ctx, "few file descriptors: connections will be refused under load; raise the limit (LimitNOFILE in the systemd unit, ulimit -n in a shell)",
			"limit", limit, "enough", enoughDescriptors)
	}
	limitMemory(ctx, cfg.Storage.MemoryBudget, log)
	serverConfig, err := serverConfig(cfg)
	if err != nil {
		return err
	}
	serverConfig.ExitIfUnavailable = exitIfUnavailable
	if serverConfig.Host, err = host(ctx, args, seen, cfg.Log, &level, log); err != nil {
		return err
	}
	living, stop := context.WithCancel(context.WithoutCancel(ctx)) // longer than ctx: a drain that hangs is worth a look
	defer stop()
	go dumpOnSignal(living)
	return server.Run(ctx, serverConfig, log, func(addr net.Addr) {
		if len(args) == 0 {
			_, _ = fmt.Fprintf(stderr, "holdfast %s serves http://%s from %s. Try:\n  crane copy --insecure IMAGE %s/IMAGE\n  curl http://%s/v2/_catalog\n",
				version, addr, cfg.Storage.RootDirectory, addr, addr)
		}
	})
}

// divisorVariable makes all ages shorter by a factor, for tests: see server.Config.Scaled. All replicas of a store must have the same.
const divisorVariable = "HOLDFAST_TEST_AGES_DIVISOR"

// serverConfig is what a server, or a command on its stores, needs to know.
func serverConfig(cfg *config.Config) (server.Config, error) {
	out := server.FromConfig(cfg, version)
	out.Features = features
	memory, _ := shares(out.MemoryBudget) // what went wrong is in the log of serve
	out.MemoryBudget = memory.Uploads
	text := os.Getenv(divisorVariable)
	if text == "" {
		return out, nil
	}
	by, err := strconv.ParseInt(text, 10, 64)
	if err == nil {
		out, err = out.Scaled(by)
	}
	if err != nil {
		return out, fmt.Errorf("%w: %s=%s: %w", server.ErrRefused, divisorVariable, text, err)
	}
	return out, nil
}

func load(args []string) (*config.Config, config.Report, error) {
	if len(args) == 0 {
		return config.Default(), config.Report{}, nil
	}
	return config.Load(args[0], os.LookupEnv)
}

func openLog(output string, level slog.Leveler) (*slog.Logger, func(), error) {
	var out io.Writer
	closeLog := func() {}
	switch output {
	case "", "stdout", "/dev/stdout":
		out = os.Stdout
	case "stderr", "/dev/stderr":
		out = os.Stderr
	default:
		f, err := os.OpenFile(output, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, nil, fmt.Errorf("log.output: %w", err)
		}
		out, closeLog = f, func() { _ = f.Close() }
	}
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level})), closeLog, nil
}
