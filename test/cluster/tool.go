package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"holdfast/test/ports"
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

// free reports a clear error when somebody listens on port.
func free(ctx context.Context, port int, what string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", ports.Address(port))
	if err != nil {
		return fmt.Errorf("cluster: port %d, wanted for %s, is taken: end what listens there (ss -ltnp sport = :%d) or choose another: %w", port, what, port, err)
	}
	return l.Close()
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

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
