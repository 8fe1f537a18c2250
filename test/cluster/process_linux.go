package cluster

import "syscall"

// childAttr puts a child into its own process group and has the kernel end it
// when we end without doing so ourselves, as after a test's time-out.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
