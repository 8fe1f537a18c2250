package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"holdfast/test/ports"
)

// Programs are the children of a caller that puts an installation of its own together, as the benchmark does, with the
// same promises as those of Start: they end with us, however we end. Safe for concurrent use.
type Programs struct {
	dir   string
	group *group
}

// NewPrograms prepares to start children whose logs are in the folder log of dir.
func NewPrograms(dir string) (*Programs, error) {
	dir, group, err := workplace(dir)
	if err != nil {
		return nil, err
	}
	return &Programs{dir: dir, group: group}, nil
}

// Program says how to start one child.
type Program struct {
	Name string // in messages, and of its log file
	Path string
	Args []string
	Env  []string // added to our own environment
	// Ready is asked until it returns nil; nil: the child is not waited for.
	Ready func(context.Context) error
	// Patience is how long it may take to be ready; 0: a minute.
	Patience time.Duration
}

// A Child is a running program.
type Child struct {
	programs *Programs
	process  *process
}

// Start starts p and waits until it is ready. A child that is not has ended again.
func (p *Programs) Start(ctx context.Context, program Program) (*Child, error) {
	started, err := p.group.start(ctx, command{name: program.Name, path: program.Path, args: program.Args, env: program.Env})
	if err != nil {
		return nil, err
	}
	c := &Child{p, started}
	if program.Ready == nil {
		return c, nil
	}
	patience := program.Patience
	if patience == 0 {
		patience = time.Minute
	}
	if err := started.ready(ctx, patience, program.Ready); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// Pid is the child's process id.
func (c *Child) Pid() int { return c.process.cmd.Process.Pid }

// Tail returns the last lines that the child wrote, for messages.
func (c *Child) Tail() string { return c.process.tail() }

// Ended is closed when the child has ended.
func (c *Child) Ended() <-chan struct{} { return c.process.done }

// Stop ends the child, by force when it does not obey, and waits. Safe twice.
func (c *Child) Stop() {
	c.process.stop()
	c.programs.group.forget(c.process)
}

// VersityGW starts two gateways over one new folder, and returns their URLs and the folder: a bucket is a folder in it,
// an object a file.
func (p *Programs) VersityGW(ctx context.Context) (urls []string, folder string, err error) {
	urls, err = startVersityGW(ctx, p.group, p.dir, sayTo(nil))
	return urls, filepath.Join(p.dir, gatewayFolder), err
}

// HAProxy starts HAProxy with zot's published sample before servers on the given ports of this machine, and returns its URL.
func (p *Programs) HAProxy(ctx context.Context, name string, servers []int) (*Child, string, error) {
	bin, err := Tool("haproxy")
	if err != nil {
		return nil, "", err
	}
	found, err := ports.Free(ctx, 1)
	if err != nil {
		return nil, "", err
	}
	file := filepath.Join(p.dir, name+".cfg")
	text := loopback(haproxyConfig, filepath.Join(p.dir, name+".sock"), found[0], servers)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, "", fmt.Errorf("cluster: write %s: %w", file, err)
	}
	url := "http://" + ports.Address(found[0])
	child, err := p.Start(ctx, Program{Name: name, Path: bin, Args: []string{"-W", "-f", file}, Ready: answers(url+"/v2/", 200)})
	return child, url, err
}

// Stop ends every child. Safe twice.
func (p *Programs) Stop() { p.group.stop() }

// Answers returns a probe for Program.Ready: GET url answers with the status; 0: with any.
func Answers(url string, status int) func(context.Context) error { return answers(url, status) }
