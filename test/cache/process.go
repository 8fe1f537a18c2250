package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"holdfast/test/ports"
)

// process is a server that runs, and can be run again.
type process struct {
	path   string
	args   []string
	port   int
	cmd    *exec.Cmd
	out    *bytes.Buffer // read after exited
	exited chan struct{}
}

// run starts the server, also one that was killed, and returns when it listens.
func (p *process) run(ctx context.Context) error {
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), p.path, p.args...)
	p.out, p.exited = &bytes.Buffer{}, make(chan struct{})
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches only those who start it
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("cache: start %s: %w", p.path, err)
	}
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait() // it was killed
		close(exited)
	}(p.cmd, p.exited)
	for {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", ports.Address(p.port))
		if err == nil {
			return c.Close()
		}
		select {
		case <-p.exited:
			return fmt.Errorf("cache: %s ended: %s", p.path, p.out)
		case <-ctx.Done():
			p.kill()
			return fmt.Errorf("cache: %s does not listen: %w", p.path, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kill ends the server, frozen or not, and waits for its end.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.exited
}

// freeze stops the server as a machine that hangs does, and returns when every thread of it has stopped.
func (p *process) freeze() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
		if err != nil {
			return err
		}
		stopped := 0
		for _, t := range threads {
			if text, err := os.ReadFile(t); err == nil && bytes.Contains(text, []byte(") T ")) {
				stopped++
			}
		}
		if stopped == len(threads) && stopped > 0 {
			return nil
		}
	}
	return errors.New("cache: it does not stop")
}

func (p *process) thaw() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// installed has scripts/tools.sh install what is not there.
func installed(ctx context.Context) error {
	if _, err := exec.LookPath("redis-sentinel"); err == nil {
		if _, err := os.Stat(DynaliteScript()); err == nil {
			return nil
		}
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("cache: find the project: %w", err)
	}
	if out, err := exec.CommandContext(ctx, filepath.Join(strings.TrimSpace(string(out)), "scripts", "tools.sh"), "cache").CombinedOutput(); err != nil {
		return fmt.Errorf("cache: install: %w: %s", err, out)
	}
	return nil
}

// DynaliteScript is where scripts/tools.sh installs dynalite.
func DynaliteScript() string {
	tools := os.Getenv("HOLDFAST_TOOLS")
	if home, err := os.UserHomeDir(); tools == "" && err == nil {
		tools = filepath.Join(home, ".cache", "holdfast", "tools")
	}
	return filepath.Join(tools, "dynalite", "node_modules", "dynalite", "cli.js")
}
