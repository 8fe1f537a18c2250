package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

// Tool finds a program: in $HOLDFAST_TOOLS (default ~/.cache/holdfast/tools),
// where scripts/tools.sh puts what it builds, then in PATH and the folders of
// system programs. The error says how to install it.
func Tool(name string) (string, error) {
	dir := os.Getenv("HOLDFAST_TOOLS")
	if home, err := os.UserHomeDir(); dir == "" && err == nil {
		dir = filepath.Join(home, ".cache", "holdfast", "tools")
	}
	for _, dir := range []string{dir, "/usr/sbin", "/sbin", "/usr/local/sbin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("cluster: %s is not installed: run scripts/tools.sh cluster test clients", name)
	}
	return path, nil
}

// Searches for ports begin together in many tests of a process: the first at a place that is left to chance, each later one apart from those before.
var searches, chance = new(atomic.Int64), rand.Int64N(1 << 30)

const apart = 32

// ports hands out n free loopback ports, all different. They lie below the range
// from which the kernel takes ports for outgoing connections, so that nothing
// but another starter is likely to take one before its server does.
func ports(ctx context.Context, n int) ([]int, error) {
	const first, last = 18000, 32000
	var lc net.ListenConfig
	var found []int
	begin := (searches.Add(1)*apart + chance) % (last - first)
	for port := first + int(begin); len(found) < n; port++ {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("cluster: find a free port: %w", err)
		}
		if port >= last {
			port = first
		}
		l, err := lc.Listen(ctx, "tcp", address(port))
		if err != nil {
			continue
		}
		defer l.Close() //nolint:errcheck // held so that no two calls find one port
		found = append(found, port)
	}
	return found, nil
}

// free reports a clear error when somebody listens on port.
func free(ctx context.Context, port int, what string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address(port))
	if err != nil {
		return fmt.Errorf("cluster: port %d, wanted for %s, is taken: end what listens there (ss -ltnp sport = :%d) or choose another: %w", port, what, port, err)
	}
	return l.Close()
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// answers returns a probe: GET url answers with status want (0: with any).
func answers(url string, want int) func(context.Context) error {
	return answersBy(http.DefaultClient, url, want)
}

func answersBy(client *http.Client, url string, want int) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		req.Close = true
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil {
			return err
		}
		if want != 0 && resp.StatusCode != want {
			return errors.New("GET " + url + ": " + resp.Status)
		}
		return nil
	}
}
