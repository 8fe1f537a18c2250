package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Signal sends sig to replica n (1 is the first): SIGKILL and SIGSTOP are what
// drills are made of.
func (c *Cluster) Signal(n int, sig syscall.Signal) error { return c.replicas[n-1].signal(sig) }

// Wait waits until replica n has ended.
func (c *Cluster) Wait(ctx context.Context, n int) error {
	select {
	case <-c.replicas[n-1].done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cluster: replica %d has not ended: %w", n, ctx.Err())
	}
}

// Restart ends replica n when it still runs, and starts it again.
func (c *Cluster) Restart(ctx context.Context, n int) error {
	old := c.replicas[n-1]
	old.stop()
	c.group.forget(old)
	return c.startReplica(ctx, n)
}

// Pid returns replica n's process id.
func (c *Cluster) Pid(n int) int { return c.replicas[n-1].cmd.Process.Pid }

// SignalS3 sends sig to every S3 gateway that Start started.
func (c *Cluster) SignalS3(sig syscall.Signal) error {
	var errs []error
	for _, p := range c.group.of(VersityGW) {
		errs = append(errs, p.signal(sig))
	}
	return errors.Join(errs...)
}

// RestartS3 ends the versitygw gateways that Start started when they still run, and starts them again at
// the same addresses.
func (c *Cluster) RestartS3(ctx context.Context) error {
	for _, old := range c.group.of(VersityGW) {
		old.stop()
		c.group.forget(old)
		if _, err := c.group.start(ctx, old.command); err != nil {
			return err
		}
	}
	return nil
}

// SignalHAProxy sends sig to HAProxy's first process: SIGUSR2 loads the configuration anew; SIGKILL
// takes its children along.
func (c *Cluster) SignalHAProxy(sig syscall.Signal) error {
	if sig == syscall.SIGKILL {
		return c.haproxy.signal(sig)
	}
	if err := syscall.Kill(c.haproxy.cmd.Process.Pid, sig); err != nil {
		return fmt.Errorf("cluster: signal %s to HAProxy: %w", sig, err)
	}
	return nil
}

// RestartHAProxy ends HAProxy when it still runs, and starts it again.
func (c *Cluster) RestartHAProxy(ctx context.Context) (err error) {
	c.haproxy.stop()
	c.group.forget(c.haproxy)
	c.haproxy, err = c.startHAProxy(ctx)
	return err
}

// Usage is what a process holds. On systems without /proc it is zero.
type Usage struct {
	Resident    int64 // bytes of memory
	Peak        int64 // the most that it was, bytes
	Descriptors int
}

// Usage returns what replica n holds now.
func (c *Cluster) Usage(n int) (Usage, error) {
	dir := "/proc/" + strconv.Itoa(c.Pid(n))
	text, err := os.ReadFile(dir + "/status")
	if errors.Is(err, os.ErrNotExist) {
		return Usage{}, nil
	}
	if err != nil {
		return Usage{}, fmt.Errorf("cluster: usage of replica %d: %w", n, err)
	}
	var u Usage
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		into := map[string]*int64{"VmRSS": &u.Resident, "VmHWM": &u.Peak}[name]
		if into == nil {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("cluster: usage of replica %d: %w", n, err)
		}
		*into = kib << 10
	}
	open, err := os.ReadDir(dir + "/fd")
	if err != nil {
		return Usage{}, fmt.Errorf("cluster: usage of replica %d: %w", n, err)
	}
	u.Descriptors = len(open)
	return u, nil
}

// S3Folder is the folder over which the versitygw gateways that Start started work: a bucket is a folder in it, an
// object a file.
func (c *Cluster) S3Folder() string { return filepath.Join(c.dir, gatewayFolder) }
