package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// hidden are folders that containerd, CNI and the kubelet share with those of the machine, if it has any. Inside each is an
// empty one. Those that were not there are removed afterwards.
var hidden = []string{"/run/netns", "/run/containerd", "/var/lib/cni", "/var/lib/kubelet", "/var/log", "/etc/cni"}

// enter runs a program in new namespaces, as their first process: when it ends, or we do, the kernel ends all others
// there, and mounts and network interfaces go with the last of them.
func enter(ctx context.Context, name string, args ...string) error {
	var made []string
	for _, dir := range hidden {
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			made = append(made, dir)
		} else if !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("kubernetes: make folder: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // Ctrl-C is for us
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	err := cmd.Run()
	for _, dir := range made {
		err = errors.Join(err, os.Remove(dir))
	}
	return err
}

// isolate gives the namespaces what the new ones lack: mounts that stay inside, our processes in /proc, and empty folders.
func isolate() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("kubernetes: make mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("kubernetes: mount /proc: %w", err)
	}
	for _, dir := range hidden {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("kubernetes: mount %s: %w", dir, err)
		}
	}
	// The kubelet hands mounts to containers by propagation; they still do not leave our namespace.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("kubernetes: share mounts: %w", err)
	}
	return nil
}
