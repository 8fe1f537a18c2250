package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

const (
	firstFD  = 3 // SD_LISTEN_FDS_START
	mostFDs  = 64
	variable = "LISTEN_FDS"
)

// Listener is a socket that systemd opened and listens on.
type Listener struct {
	net.Listener
	// Name is FileDescriptorName= of the socket unit; systemd's default is the unit's own name.
	Name string
}

// Listeners returns the sockets that were handed over to the process pid, its own, in the order of the units; none
// without socket activation. lookup is as os.LookupEnv. The process owns them then: call it once. The variables stay
// set, and bind nobody else, because LISTEN_PID names the process. Errors: a variable that is not what systemd would set, a descriptor that
// listens for no streams; then all of them are closed.
func Listeners(lookup func(string) (string, bool), pid int) ([]Listener, error) {
	return listeners(lookup, pid, firstFD)
}

func listeners(lookup func(string) (string, bool), pid int, first uintptr) ([]Listener, error) {
	text, set := lookup(variable)
	if owner, _ := lookup("LISTEN_PID"); !set || owner != strconv.Itoa(pid) {
		return nil, nil
	}
	count, err := strconv.Atoi(text)
	if err != nil || count < 0 || count > mostFDs {
		return nil, fmt.Errorf("systemd: %s=%q is no number of sockets", variable, text)
	}
	var names []string
	if text, set := lookup("LISTEN_FDNAMES"); set {
		names = strings.Split(text, ":")
	}
	var all []Listener
	var errs []error
	for i := range count {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		listener, err := fromFD(first+uintptr(i), name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, Listener{listener, name})
	}
	if len(errs) > 0 {
		for _, l := range all {
			errs = append(errs, l.Close())
		}
		return nil, errors.Join(errs...)
	}
	return all, nil
}

// fromFD takes a descriptor over: the listener is a copy that no child inherits, and the original is closed.
func fromFD(fd uintptr, name string) (net.Listener, error) {
	file := os.NewFile(fd, name)
	if file == nil {
		return nil, fmt.Errorf("systemd: socket %d (%s) is no descriptor", fd, name)
	}
	listener, err := net.FileListener(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("systemd: socket %d (%s) cannot be listened on: %w", fd, name, err)
	}
	return listener, nil
}
