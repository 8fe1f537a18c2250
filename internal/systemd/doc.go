// Package systemd speaks the three small protocols between a service and the systemd that runs it: notifications
// (sd_notify), the watchdog, and listening sockets that are handed over (socket activation). Without systemd, all
// of it does nothing. It is not for units or for systemd's D-Bus interface. Start with FromEnv.
package systemd
