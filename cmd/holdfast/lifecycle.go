package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/server"
	"holdfast/internal/systemd"
)

// Times of the watch of the configuration's files.
const (
	watchInterval = 5 * time.Second
	settleTime    = time.Second // between two looks that must agree: a file may be half written
)

// registrySocket is the name of the socket to serve at, where systemd hands over several.
const registrySocket = "registry"

// fingerprint is of the file of args, as long as it is the same.
func fingerprint(args []string) [32]byte {
	if len(args) == 0 {
		return [32]byte{}
	}
	return config.Fingerprint(args[0], os.LookupEnv)
}

// host is what this process gives to the server. The file of args is watched until ctx ends; seen is its fingerprint from before it was loaded.
func host(ctx context.Context, args []string, seen [32]byte, started config.Log, level *slog.LevelVar, log *slog.Logger) (server.Host, error) {
	var h server.Host
	var err error
	if h.Notifier, err = systemd.FromEnv(os.LookupEnv, os.Getpid()); err != nil {
		return h, fmt.Errorf("%w: %w", server.ErrRefused, err)
	}
	sockets, err := systemd.Listeners(os.LookupEnv, os.Getpid())
	if err != nil {
		return h, fmt.Errorf("%w: %w", server.ErrRefused, err)
	}
	for _, socket := range sockets {
		if socket.Name == registrySocket || len(sockets) == 1 {
			h.Listener = socket.Listener
		}
	}
	if len(sockets) > 0 && h.Listener == nil {
		return h, fmt.Errorf("%w: none of the %d sockets that systemd hands over has FileDescriptorName=%s", server.ErrRefused, len(sockets), registrySocket)
	}
	if len(args) == 0 {
		return h, nil
	}
	changed := make(chan string)
	h.Source = server.Source{Changed: changed, Load: func(ctx context.Context) (server.Config, error) {
		cfg, report, err := load(args)
		if err != nil {
			return server.Config{}, err
		}
		for _, w := range report.Warnings {
			log.WarnContext(ctx, "configuration", "key", w.Path, "warning", w.Text)
		}
		next, err := serverConfig(cfg)
		if err != nil {
			return server.Config{}, err
		}
		level.Set(cfg.Log.Level)
		if cfg.Log.Output != started.Output {
			log.WarnContext(ctx, "a part of the new configuration needs a restart", "keys", []string{"log.output"})
		}
		return next, nil
	}}
	hangups := hangups() // before anybody is told that the service runs: until then SIGHUP ends it
	go watch(ctx, hangups, changed, seen, func() [32]byte { return fingerprint(args) })
	return h, nil
}

// watch sends why the configuration is to be read again: SIGHUP, or other bytes in one of its files, for which it looks itself because no
// notification of the kernel's sees the swapped links of Kubernetes and every network file system. seen are the bytes from before they were read for the first time: what
// comes between is a change.
func watch(ctx context.Context, hangups <-chan os.Signal, changed chan<- string, seen [32]byte, look func() [32]byte) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		why := "SIGHUP"
		select {
		case <-hangups:
			seen = look()
		case <-ticker.C:
			now := look()
			if now == seen {
				continue
			}
			for settled := false; !settled && ctx.Err() == nil; { // until nobody writes any more
				wait(ctx, settleTime)
				next := look()
				settled, now = next == now, next
			}
			why, seen = "a file changed", now
		case <-ctx.Done():
			return
		}
		select {
		case changed <- why:
		case <-ctx.Done():
			return
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// maxDump bounds a dump of all goroutines in bytes; what does not fit is cut.
const maxDump = 64 << 20

// dump writes what every goroutine does to standard error, where a panic would write it.
func dump() {
	b := make([]byte, 1<<20)
	for {
		n := runtime.Stack(b, true)
		if n < len(b) || len(b) >= maxDump {
			_, _ = fmt.Fprintf(os.Stderr, "holdfast %s: all goroutines, at %s\n\n%s\n", version, time.Now().UTC().Format(time.RFC3339Nano), b[:n])
			return
		}
		b = make([]byte, 2*len(b))
	}
}
