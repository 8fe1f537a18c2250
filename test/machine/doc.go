// Package machine makes copies of the machine that a test runs on, to install and break things in: the same files, but
// what is written to them goes to memory and ends with the test. A copy can be a folder to chroot into, or run a systemd of its own.
// It is Linux only, and needs root. Start with Inside.
package machine
