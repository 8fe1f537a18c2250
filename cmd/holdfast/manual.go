package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newManual is for those who make packages.
func newManual() *cobra.Command {
	return &cobra.Command{
		Use:    "manual DIR",
		Short:  "Write a man page of every command, and completions for shells, into a directory",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE:   func(cmd *cobra.Command, args []string) error { return writeManual(cmd.Root(), args[0]) },
	}
}

// writeManual writes man1/*.1, and completions/ for bash, zsh and fish.
func writeManual(root *cobra.Command, dir string) error {
	pages, completions := filepath.Join(dir, "man1"), filepath.Join(dir, "completions")
	for _, d := range []string{pages, completions} {
		if err := os.MkdirAll(d, 0o755); err != nil { //nolint:gosec // G301: they are for everybody to read
			return fmt.Errorf("manual: %w", err)
		}
	}
	var write func(cmd *cobra.Command) error
	write = func(cmd *cobra.Command) error {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
		if err := os.WriteFile(filepath.Join(pages, name+".1"), []byte(manPage(cmd)), 0o644); err != nil { //nolint:gosec // G306: as above
			return fmt.Errorf("manual: %w", err)
		}
		for _, sub := range cmd.Commands() {
			if !sub.IsAvailableCommand() || sub.Name() == "completion" {
				continue
			}
			if err := write(sub); err != nil {
				return err
			}
		}
		return nil
	}
	if err := write(root); err != nil {
		return err
	}
	for name, generate := range map[string]func(string) error{
		"holdfast":      func(path string) error { return root.GenBashCompletionFileV2(path, true) },
		"_holdfast":     root.GenZshCompletionFile,
		"holdfast.fish": func(path string) error { return root.GenFishCompletionFile(path, true) },
	} {
		if err := generate(filepath.Join(completions, name)); err != nil {
			return fmt.Errorf("manual: %w", err)
		}
	}
	return nil
}

// manPage is a page of section 1, in the man macros of troff.
func manPage(cmd *cobra.Command) string {
	var b strings.Builder
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	line(`.TH "%s" "1" "" "holdfast" "User Commands"`, strings.ToUpper(name))
	line(".SH NAME\n%s \\- %s", roff(name), roff(cmd.Short))
	line(".SH SYNOPSIS\n.B %s", roff(cmd.UseLine()))
	if cmd.Long != "" {
		line(".SH DESCRIPTION\n%s", roff(cmd.Long))
	}
	if cmd.HasAvailableSubCommands() {
		line(".SH COMMANDS")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() && sub.Name() != "help" && sub.Name() != "completion" {
				line(".TP\n.BR %s (1)\n%s", roff(strings.ReplaceAll(sub.CommandPath(), " ", "-")), roff(sub.Short))
			}
		}
	}
	if cmd.HasAvailableLocalFlags() {
		line(".SH OPTIONS")
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Hidden {
				return
			}
			title := "--" + f.Name
			if f.Shorthand != "" {
				title = "-" + f.Shorthand + ", " + title
			}
			value, usage := pflag.UnquoteUsage(f)
			if value != "" {
				title += "=" + value
			}
			line(".TP\n.B %s\n%s", roff(title), roff(usage))
		})
	}
	if cmd.Example != "" {
		line(".SH EXAMPLES\n.nf\n%s\n.fi", roff(cmd.Example))
	}
	line(".SH EXIT STATUS\n0 all is well; 1 failure, or damage that was found; 2 wrong usage; 75 the store does not answer, or somebody else is at the same work: try again; 78 an operator must change something.")
	if cmd.HasParent() {
		line(".SH SEE ALSO\n.BR %s (1)", roff(strings.ReplaceAll(cmd.Parent().CommandPath(), " ", "-")))
	}
	return b.String()
}

// roff keeps a text from being taken for requests of troff.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
