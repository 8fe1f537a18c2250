package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"text/tabwriter"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("supply", flag.ContinueOnError)
	binary := flags.String("binary", "", "look at the modules of this binary, which must be of these sources")
	sbom := flags.String("sbom", "", "write the binary's bill of materials to this file")
	version := flags.String("version", "unknown", "the version of the program, in the bill")
	tags := flags.String("tags", "grpcnotrace", "the build tags of the program")
	quiet := flags.Bool("q", false, "print only what is wrong")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *sbom != "" && *binary == "" {
		return errors.New("supply: a bill is of a binary: give -binary")
	}
	modules, err := listed(ctx, *tags)
	if err != nil {
		return err
	}
	if err := check(modules); err != nil {
		return err
	}
	if *binary != "" {
		info, in, err := inBinary(*binary, modules)
		if err != nil {
			return err
		}
		if modules = in; *sbom != "" {
			text, err := billOf(*binary, *version, info, modules)
			if err != nil {
				return err
			}
			if err := os.WriteFile(*sbom, text, 0o644); err != nil { //nolint:gosec // G306: it is for everybody
				return fmt.Errorf("supply: write the bill: %w", err)
			}
		}
	}
	if *quiet {
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, m := range modules {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", m.path, m.version, strings.Join(m.licences, ", ")) // the error is that of Flush
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("supply: print: %w", err)
	}
	_, err = fmt.Fprintf(out, "%d modules, all under licences that are allowed\n", len(modules))
	return err
}
