package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// States of sd_notify(3), as Notify sends them. Status and Reloading make others.
const (
	Ready    = "READY=1"    // started, or reloaded
	Stopping = "STOPPING=1" // the order to end came
	Watchdog = "WATCHDOG=1" // alive
)

// Status is one line about the service, for systemctl status.
func Status(text string) string { return "STATUS=" + strings.ReplaceAll(text, "\n", " ") }

// Reloading says that the configuration is being read again, at a time of CLOCK_MONOTONIC in microseconds, by which
// systemd tells this reload from an earlier one. Ready ends it, whatever came of it.
func Reloading(monotonic int64) string {
	return "RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(monotonic, 10)
}

// Extend asks systemd to wait for the step that the service is at, its start or its end, for so long from now, whatever
// TimeoutStartSec and TimeoutStopSec say.
func Extend(d time.Duration) string {
	return "EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10)
}

// Notifier tells systemd about the service. The zero value, and nil, tell nobody. Safe for concurrent use.
type Notifier struct {
	socket   string
	interval time.Duration
}

// FromEnv returns the notifier that NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID ask for; pid is the process's own.
// lookup is as os.LookupEnv. Errors: a variable that is not what systemd would set.
func FromEnv(lookup func(string) (string, bool), pid int) (*Notifier, error) {
	n := &Notifier{}
	n.socket, _ = lookup("NOTIFY_SOCKET")
	if n.socket != "" && !strings.HasPrefix(n.socket, "/") && !strings.HasPrefix(n.socket, "@") {
		return nil, fmt.Errorf("systemd: NOTIFY_SOCKET=%q is neither a path nor an abstract socket", n.socket)
	}
	text, set := lookup("WATCHDOG_USEC")
	if owner, named := lookup("WATCHDOG_PID"); !set || named && owner != strconv.Itoa(pid) {
		return n, nil
	}
	usec, err := strconv.ParseInt(text, 10, 64)
	if err != nil || usec <= 0 || usec > int64(1<<63-1)/int64(time.Microsecond) {
		return nil, fmt.Errorf("systemd: WATCHDOG_USEC=%q is no number of microseconds", text)
	}
	n.interval = time.Duration(usec) * time.Microsecond
	return n, nil
}

// Watchdog is how long systemd waits for a sign of life before it ends the service; 0: it does not watch.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.interval
}

// Notify sends states in one datagram. Errors: the socket is gone, or full until ctx ended.
func (n *Notifier) Notify(ctx context.Context, states ...string) (err error) {
	if n == nil || n.socket == "" {
		return nil
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unixgram", n.socket) // an @ is the abstract namespace to net, too
	if err != nil {
		return fmt.Errorf("systemd: notify: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetWriteDeadline(deadline); err != nil {
			return fmt.Errorf("systemd: notify: %w", err)
		}
	}
	if _, err := conn.Write([]byte(strings.Join(states, "\n"))); err != nil {
		return fmt.Errorf("systemd: notify: %w", err)
	}
	return nil
}

// Watch sends a sign of life now, and then twice in each watchdog interval, for as long as alive returns nil, until ctx ends.
// alive has a quarter of the interval. What goes wrong is given to failed; the next turn tries again, and a process
// that is dead for good is ended by systemd. It returns at once when nobody watches.
func (n *Notifier) Watch(ctx context.Context, alive func(context.Context) error, failed func(error)) {
	if n.Watchdog() == 0 {
		return
	}
	ticker := time.NewTicker(n.interval / 2)
	defer ticker.Stop()
	for {
		turn, cancel := context.WithTimeout(ctx, n.interval/4)
		err := alive(turn)
		if err == nil {
			err = n.Notify(turn, Watchdog)
		}
		cancel()
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
