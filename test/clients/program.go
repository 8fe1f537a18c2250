package clients

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/test/cluster"
)

// A Program is a client, with a home of its own: no credentials and no settings
// of whoever runs the test.
type Program struct {
	Home string // and working directory
	name string
	path string
	env  []string
	args []string
}

// With returns the same client, which is given args before all others.
func (p *Program) With(args ...string) *Program {
	with := *p
	with.args = slices.Concat(p.args, args)
	return &with
}

// Find finds a client; one that is not installed ends the test.
func Find(t *testing.T, name string, env ...string) *Program {
	t.Helper()
	path, err := cluster.Tool(name)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	// Some clients take DOCKER_CONFIG for a promise that the file is there.
	if err := os.WriteFile(filepath.Join(home, "config.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &Program{Home: home, name: name, path: path, env: append([]string{"HOME=" + home, "DOCKER_CONFIG=" + home, "XDG_RUNTIME_DIR=" + home}, env...)}
}

// WithEnv returns the same client, with more in its environment.
func (p *Program) WithEnv(env ...string) *Program {
	with := *p
	with.env = slices.Concat(p.env, env)
	return &with
}

// Run runs the client and returns what it printed to its standard output. One
// that fails ends the test.
func (p *Program) Run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := p.Try(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Try is Run for what may fail; the error has the client's words.
func (p *Program) Try(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path, slices.Concat(p.args, args)...)
	cmd.Dir = p.Home
	cmd.Env = append(os.Environ(), p.env...)
	cmd.WaitDelay = 5 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), &failure{p.name + " " + strings.Join(args, " "), err, errs.String() + out.String()}
	}
	return strings.TrimSpace(out.String()), nil
}

type failure struct {
	command string
	err     error
	said    string
}

func (f *failure) Error() string { return f.command + ": " + f.err.Error() + "\n" + f.said }
func (f *failure) Unwrap() error { return f.err }
