//go:build !linux

package systemd

// Monotonic is 0: there is no systemd.
func Monotonic() int64 { return 0 }
