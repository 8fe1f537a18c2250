package abuse

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// A process is a replica of a row's own.
type process struct {
	address string // host:port
	log     string // file
	cmd     *exec.Cmd
}

// serve starts a replica and waits until it listens.
func (a *attack) serve(file string, env ...string) *process {
	a.Helper()
	p := &process{cmd: a.command("serve", file), log: filepath.Join(a.TempDir(), "log")}
	out, err := os.Create(p.log)
	if err != nil {
		a.Fatal(err)
	}
	defer out.Close() //nolint:errcheck // the child has its own descriptor
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		a.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.cmd.Wait() // how it ends is no matter
	}()
	a.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = p.cmd.Process.Kill()
			<-ended
		}
	})
	for range 600 {
		for line := range strings.Lines(p.text(a)) {
			var l struct{ Msg, Address string }
			if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "listening" {
				p.address = l.Address
				return p
			}
		}
		select {
		case <-ended:
			a.Fatalf("it ended at its start:\n%s", clip(p.text(a)))
		case <-time.After(50 * time.Millisecond):
		}
	}
	a.Fatalf("it never listens:\n%s", clip(p.text(a)))
	return nil
}

func (p *process) text(a *attack) string {
	a.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		a.Fatal(err)
	}
	return string(text)
}

// says waits until the log has what matches a pattern.
func (p *process) says(a *attack, within time.Duration, pattern string) {
	a.Helper()
	for began := time.Now(); !regexp.MustCompile("(?is)" + pattern).MatchString(p.text(a)); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > within {
			a.Errorf("the log does not say %s:\n%s", pattern, clip(p.text(a)))
			return
		}
	}
}

// outcome runs the program to its end.
func (a *attack) outcome(env []string, args ...string) (code int, stdout, stderr string) {
	a.Helper()
	ctx, cancel := context.WithTimeout(a.Context(), time.Minute)
	defer cancel()
	from := a.command(args...)
	cmd := exec.CommandContext(ctx, from.Path, from.Args[1:]...)
	cmd.Dir, cmd.Env = from.Dir, append(from.Env, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // its code tells
	if cmd.ProcessState == nil {
		a.Fatalf("%v did not run", args)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// refuses looks that a replica does not start with a file, before it listens: exit status 78, all that is wrong on standard error, and no secret.
func (a *attack) refuses(file string, says ...string) string {
	a.Helper()
	return a.refusesWith(nil, file, says...)
}

func (a *attack) refusesWith(env []string, file string, says ...string) string {
	a.Helper()
	code, stdout, stderr := a.outcome(env, "serve", file)
	if code != 78 {
		a.Errorf("exit status %d, want 78:\n%s%s", code, clip(stderr), clip(stdout))
	}
	if strings.Contains(stdout, `"msg":"listening"`) {
		a.Error("it listened before it ended")
	}
	for _, pattern := range says {
		if !regexp.MustCompile("(?is)" + pattern).MatchString(stderr) {
			a.Errorf("standard error does not say %s:\n%s", pattern, clip(stderr))
		}
	}
	for _, secret := range []string{"canary", "goroutine "} {
		if strings.Contains(stdout+stderr, secret) {
			a.Errorf("it shows %q:\n%s", secret, clip(stderr+stdout))
		}
	}
	return stderr
}

// warns looks that a file is good, with a warning.
func (a *attack) warns(file, says string) {
	a.Helper()
	code, stdout, stderr := a.outcome(nil, "verify", file)
	if code != 0 || !regexp.MustCompile("(?is)"+says).MatchString(stdout+stderr) {
		a.Errorf("exit status %d, want 0 and a warning that says %s:\n%s%s", code, says, stdout, stderr)
	}
}
