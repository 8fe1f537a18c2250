package cluster

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

//go:embed testdata/haproxy.cfg
var haproxyConfig string

// startHAProxy runs HAProxy on port before the replicas.
func startHAProxy(ctx context.Context, g *group, dir string, port int, replicas []int) (*process, error) {
	bin, err := Tool("haproxy")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "haproxy.cfg")
	text := loopback(haproxyConfig, filepath.Join(dir, "haproxy.sock"), port, replicas)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("cluster: write haproxy.cfg: %w", err)
	}
	// -db: stay in the foreground, one process, whatever the file says.
	p, err := g.start(ctx, command{name: "haproxy", path: bin, args: []string{"-db", "-f", file}, grace: 3 * time.Second})
	if err != nil {
		return nil, err
	}
	return p, p.ready(ctx, 15*time.Second, answers("http://"+address(port)+"/v2/", 200))
}

// loopback turns the published configuration of a cluster into one for this
// machine. It binds to loopback, logs to its standard output and runs as whoever
// starts it; everything that decides how requests are spread stays as published.
func loopback(config, socket string, port int, replicas []int) string {
	var out strings.Builder
	logged, served := false, false
	for line := range strings.Lines(config) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		switch {
		case word == "log" && strings.HasPrefix(rest, "/dev/log"):
			if !logged {
				fmt.Fprintf(&out, "%slog stdout format raw local0\n", indent)
			}
			logged = true
		case word == "chroot", word == "user", word == "group", word == "daemon":
		case word == "stats" && strings.HasPrefix(rest, "socket "):
			out.WriteString(strings.Replace(line, "/run/haproxy/admin.sock", socket, 1))
		case word == "bind":
			fmt.Fprintf(&out, "%sbind %s\n", indent, address(port))
		case word == "server":
			if !served {
				for i, p := range replicas {
					fmt.Fprintf(&out, "%sserver zot%d %s check\n", indent, i+1, address(p))
				}
			}
			served = true
		default:
			out.WriteString(line)
		}
	}
	return out.String()
}
