package cluster

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/test/ports"
)

//go:embed testdata/haproxy.cfg
var haproxyConfig string

// startHAProxy runs HAProxy before the replicas, with the configuration that the options name, or zot's sample.
func (c *Cluster) startHAProxy(ctx context.Context) (*process, error) {
	path, dir, port := c.opt.HAProxyConfig, c.dir, c.opt.HAProxyPort
	bin, err := Tool("haproxy")
	if err != nil {
		return nil, err
	}
	config := haproxyConfig
	if path != "" {
		if config, err = readConfig(path); err != nil {
			return nil, err
		}
	}
	file := filepath.Join(dir, "haproxy.cfg")
	if c.opt.HAProxyCerts != "" {
		config = strings.ReplaceAll(config, "/etc/haproxy/certs/", c.opt.HAProxyCerts+"/")
	}
	text := loopback(config, filepath.Join(dir, "haproxy.sock"), port, c.ports)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("cluster: write haproxy.cfg: %w", err)
	}
	// -W: stay in the foreground and work in a child, so that SIGUSR2 loads the file anew.
	p, err := c.group.start(ctx, command{name: "haproxy", path: bin, args: []string{"-W", "-f", file}, grace: 3 * time.Second})
	if err != nil {
		return nil, err
	}
	return p, p.ready(ctx, 15*time.Second, c.answers(port, "/livez")) // of the registry all may be closed
}

// readConfig reads a configuration. The error files that an operator installs in /etc/haproxy/holdfast are taken
// from the folder "errors" beside it.
func readConfig(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("cluster: HAProxy's configuration: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("cluster: HAProxy's configuration: %w", err)
	}
	return strings.ReplaceAll(string(text), "/etc/haproxy/holdfast/", filepath.Join(filepath.Dir(path), "errors")+"/"), nil
}

// loopback turns the published configuration of a cluster into one for this
// machine. It binds to loopback, logs to its standard output and runs as whoever
// starts it; everything that decides how requests are spread stays as published.
func loopback(config, socket string, port int, replicas []int) string {
	var out strings.Builder
	logged, served, binds := false, false, 0
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
			at := ports.Address(port)
			if binds > 0 { // statistics and the like: nobody else wants its port
				at = fmt.Sprintf("unix@%s.%d", socket, binds)
			}
			binds++
			_, options, _ := strings.Cut(rest, " ") // those of TLS
			fmt.Fprintf(&out, "%s%s\n", indent, strings.TrimSpace("bind "+at+" "+options))
		case word == "server":
			if first := strings.Fields(rest); !served && len(first) >= 2 {
				name := strings.TrimRight(first[0], "0123456789")
				for i, p := range replicas {
					fmt.Fprintf(&out, "%sserver %s%d %s\n", indent, name, i+1, strings.Join(append([]string{ports.Address(p)}, first[2:]...), " "))
				}
			}
			served = true
		default:
			out.WriteString(line)
		}
	}
	return out.String()
}
