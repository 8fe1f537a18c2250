package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// command says how to start one child.
type command struct {
	name string // of the process in messages, and of its log file
	path string
	args []string
	env  []string // added to our own environment
	// end is the signal that asks the child to end; zero means SIGTERM.
	end syscall.Signal
	// grace is how long it may take to obey before SIGKILL; zero means 10 s.
	grace time.Duration
}

// A process is one running child, in a process group of its own so that Ctrl-C
// on the terminal reaches only us.
type process struct {
	command
	cmd  *exec.Cmd
	log  string        // file of its output
	done chan struct{} // closed when it has ended
	err  error         // how it ended; read after done
}

// A group holds the children of one installation, in the order of their start.
// Safe for concurrent use.
type group struct {
	dir    string // of the log files
	thread chan func()

	mu     sync.Mutex
	procs  []*process
	closed bool
}

// newGroup starts the thread that will start the children: the kernel ends a
// child when the thread that started it ends (childAttr), and the runtime may
// end any thread but one that a goroutine holds.
func newGroup(dir string) (*group, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("cluster: make log folder: %w", err)
	}
	g := &group{dir: dir, thread: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for f := range g.thread {
			f()
		}
	}()
	return g, nil
}

// start runs c until stop or its own end; ctx ending does not end it.
func (g *group) start(ctx context.Context, c command) (*process, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, fmt.Errorf("cluster: start %s: stopped already", c.name)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cluster: start %s: %w", c.name, err)
	}
	p := &process{command: c, log: filepath.Join(g.dir, c.name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cluster: start %s: %w", c.name, err)
	}
	defer out.Close() //nolint:errcheck // the child holds its own descriptor
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), c.path, c.args...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(os.Environ(), c.env...)
	p.cmd.SysProcAttr = childAttr()

	started := make(chan error)
	g.thread <- func() { started <- p.cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("cluster: start %s: %w", c.name, err)
	}
	g.procs = append(g.procs, p)
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop ends every child, the last started first, and waits until all are gone.
// Children of one kind (same name but for the number) end together. Safe twice.
func (g *group) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := len(g.procs); i > 0; {
		j := i - 1
		for j > 0 && kind(g.procs[j-1].name) == kind(g.procs[j].name) {
			j--
		}
		var wg sync.WaitGroup
		for _, p := range g.procs[j:i] {
			wg.Go(p.stop)
		}
		wg.Wait()
		i = j
	}
	g.procs = nil
	if !g.closed {
		g.closed = true
		close(g.thread)
	}
}

// forget takes an ended child out of the group.
func (g *group) forget(p *process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, q := range g.procs {
		if q == p {
			g.procs = append(g.procs[:i], g.procs[i+1:]...)
			return
		}
	}
}

// of returns the children of one kind, in the order of their start.
func (g *group) of(name string) (procs []*process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.procs {
		if kind(p.name) == name {
			procs = append(procs, p)
		}
	}
	return procs
}

func kind(name string) string { return strings.TrimRight(name, "-0123456789") }

// signal reaches the child and what it started. A child that has ended is no error.
func (p *process) signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := syscall.Kill(-p.cmd.Process.Pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cluster: signal %s to %s: %w", sig, p.name, err)
	}
	return nil
}

// stop asks the child to end, insists after its grace, and waits.
func (p *process) stop() {
	end, grace := p.end, p.grace
	if end == 0 {
		end = syscall.SIGTERM
	}
	if grace == 0 {
		grace = 10 * time.Second
	}
	_ = p.signal(end)
	_ = p.signal(syscall.SIGCONT) // a stopped process obeys nothing but SIGKILL
	select {
	case <-p.done:
		return
	case <-time.After(grace):
	}
	_ = p.signal(syscall.SIGKILL)
	<-p.done
}

// ready polls probe until it returns nil, the child ends, ctx ends or limit has
// passed; the error then ends with the last lines that the child wrote.
func (p *process) ready(ctx context.Context, limit time.Duration, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		last := probe(ctx)
		if last == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("cluster: %s ended at its start: %w%s", p.name, p.cause(), p.tail())
		case <-ctx.Done():
			return fmt.Errorf("cluster: %s is not ready (%w): %w%s", p.name, ctx.Err(), last, p.tail())
		case <-tick.C:
		}
	}
}

func (p *process) cause() error {
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

// tail returns the end of the child's output, for messages.
func (p *process) tail() string {
	out, err := os.ReadFile(p.log)
	if err != nil || len(out) == 0 {
		return ""
	}
	lines := bytes.Split(bytes.TrimRight(out, "\n"), []byte("\n"))
	lines = lines[max(0, len(lines)-12):]
	return "\n  " + p.name + " wrote:\n    " + string(bytes.Join(lines, []byte("\n    ")))
}
