package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"holdfast/internal/config"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "What a configuration file comes to, and what its keys mean",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return usageError{errors.New("config: a command is needed")} },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "show FILE",
			Short: "Print the configuration that a file comes to, with all defaults and without secrets",
			Args:  cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				cfg, _, err := config.Load(args[0], os.LookupEnv)
				if err != nil {
					return err
				}
				_, err = fmt.Fprint(cmd.OutOrStdout(), cfg.Redacted())
				return err
			},
		},
		&cobra.Command{
			Use:     "explain KEY",
			Short:   "Print what a key means: its whole path, or the end of it",
			Example: "  holdfast config explain gcDelay",
			Args:    cobra.ExactArgs(1),
			RunE:    explainKey,
		},
		&cobra.Command{
			Use:   "schema",
			Short: "Print a JSON Schema of the file, for editors",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				schema, err := config.Schema()
				if err == nil {
					_, err = fmt.Fprintln(cmd.OutOrStdout(), string(schema))
				}
				return err
			},
		},
		&cobra.Command{
			Use:   "reference",
			Short: "Print the reference of all keys, as Markdown",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				_, err := fmt.Fprint(cmd.OutOrStdout(), config.Reference())
				return err
			},
		},
	)
	return cmd
}

func explainKey(cmd *cobra.Command, args []string) error {
	found := config.Explain(args[0])
	if len(found) == 0 {
		return usageError{fmt.Errorf("config explain: no key is named %q: holdfast config reference lists all", args[0])}
	}
	for _, k := range found {
		what := ""
		if k.Type != "" {
			what = " (" + k.Type
			if k.Default != "" {
				what += ", " + k.Default + " where the file does not say"
			}
			what += ")"
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s%s: %s\n", k.Path, what, k.Meaning); err != nil {
			return err
		}
	}
	return nil
}
