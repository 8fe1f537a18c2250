package cache

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"holdfast/test/ports"
)

// Redis is one server. Its methods are for one caller at a time.
type Redis struct {
	Address  string // host:port
	Password string
	dir      string
	process
}

// StartRedis starts a server that keeps nothing on disk but its configuration in dir, with directives of redis.conf besides. Kill ends it.
func StartRedis(ctx context.Context, dir string, directives ...string) (*Redis, error) {
	if err := installed(ctx); err != nil {
		return nil, err
	}
	found, err := ports.Free(ctx, 1)
	if err != nil {
		return nil, err
	}
	return startRedis(ctx, dir, "redis-server", found[0], directives...)
}

func startRedis(ctx context.Context, dir, program string, port int, directives ...string) (*Redis, error) {
	r := &Redis{Address: ports.Address(port), dir: dir}
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	own := filepath.Join(dir, strconv.Itoa(port))
	if err := os.MkdirAll(own, 0o700); err != nil {
		return nil, fmt.Errorf("cache: make a folder: %w", err)
	}
	text := fmt.Sprintf("bind 127.0.0.1\nport %d\ndir %s\ndaemonize no\n", port, own)
	if program == "redis-server" {
		text += "save \"\"\nappendonly no\n"
	}
	for _, d := range directives {
		if password, found := strings.CutPrefix(d, "requirepass "); found {
			r.Password = password
		}
		text += d + "\n"
	}
	file := filepath.Join(own, "redis.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("cache: write the configuration: %w", err)
	}
	r.process = process{path: path, args: []string{file}, port: port}
	return r, r.run(ctx)
}

// Run starts the server that was killed; it is empty then.
func (r *Redis) Run(ctx context.Context) error { return r.run(ctx) }

// Kill ends the server, frozen or not.
func (r *Redis) Kill() { r.kill() }

// Freeze stops it as a machine that hangs does; Thaw lets it go on.
func (r *Redis) Freeze() error { return r.freeze() }

// Thaw ends Freeze.
func (r *Redis) Thaw() error { return r.thaw() }

// Do sends one command on a connection of its own and returns the answer's first line, without what says its type.
func (r *Redis) Do(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", r.Address)
	if err != nil {
		return "", fmt.Errorf("cache: reach redis: %w", err)
	}
	defer conn.Close() //nolint:errcheck // nothing is kept of it
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	commands := [][]string{args}
	if r.Password != "" {
		commands = [][]string{{"AUTH", r.Password}, args}
	}
	answers := bufio.NewReader(conn)
	var line string
	for _, command := range commands {
		text := fmt.Sprintf("*%d\r\n", len(command))
		for _, arg := range command {
			text += fmt.Sprintf("$%d\r\n%s\r\n", len(arg), arg)
		}
		if _, err := conn.Write([]byte(text)); err != nil {
			return "", fmt.Errorf("cache: %s: %w", command[0], err)
		}
		if line, err = answers.ReadString('\n'); err != nil {
			return "", fmt.Errorf("cache: %s: %w", command[0], err)
		}
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "-") {
			return "", fmt.Errorf("cache: %s: %s", command[0], line[1:])
		}
	}
	return strings.TrimLeft(line, "+:$*"), nil
}

// Wipe forgets everything.
func (r *Redis) Wipe(ctx context.Context) error {
	_, err := r.Do(ctx, "FLUSHALL")
	return err
}

// Servers are several that belong together.
type Servers []*Redis

// Kill ends all of them.
func (s Servers) Kill() {
	for _, r := range s {
		r.Kill()
	}
}

// Addresses are those of all.
func (s Servers) Addresses() (all []string) {
	for _, r := range s {
		all = append(all, r.Address)
	}
	return all
}

// MasterName is the name by which the sentinels know their primary.
const MasterName = "zotmeta"

// StartSentinel starts a primary, one replica of it, and three sentinels, which need a password of their own.
func StartSentinel(ctx context.Context, dir string) (servers, sentinels Servers, err error) {
	defer func() {
		if err != nil {
			servers.Kill()
			sentinels.Kill()
		}
	}()
	primary, err := StartRedis(ctx, dir, "requirepass secret", "masterauth secret")
	if err != nil {
		return servers, nil, err
	}
	servers = append(servers, primary)
	replica, err := StartRedis(ctx, dir, "requirepass secret", "masterauth secret", "repl-diskless-sync-delay 0", "replicaof 127.0.0.1 "+strconv.Itoa(primary.port))
	if err != nil {
		return servers, nil, err
	}
	servers = append(servers, replica)
	found, err := ports.Free(ctx, 3)
	if err != nil {
		return servers, nil, err
	}
	for _, port := range found {
		s, err := startRedis(ctx, dir, "redis-sentinel", port, "requirepass watchers", "sentinel sentinel-pass watchers",
			fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d 2", MasterName, primary.port), "sentinel auth-pass "+MasterName+" secret",
			"sentinel down-after-milliseconds "+MasterName+" 1000", "sentinel failover-timeout "+MasterName+" 3000")
		if err != nil {
			return servers, sentinels, err
		}
		sentinels = append(sentinels, s)
	}
	return servers, sentinels, until(ctx, func() error {
		for _, s := range sentinels {
			if answer, err := s.Do(ctx, "SENTINEL", "CKQUORUM", MasterName); err != nil || !strings.HasPrefix(answer, "OK 3") {
				return fmt.Errorf("cache: the sentinels do not know each other: %q, %w", answer, err)
			}
			if answer, err := s.Do(ctx, "SENTINEL", "REPLICAS", MasterName); err != nil || answer != "1" {
				return fmt.Errorf("cache: the sentinels do not know the replica: %q, %w", answer, err)
			}
		}
		return nil
	})
}

// StartCluster starts a cluster of three primaries.
func StartCluster(ctx context.Context, dir string) (servers Servers, err error) {
	defer func() {
		if err != nil {
			servers.Kill()
		}
	}()
	if err := installed(ctx); err != nil {
		return nil, err
	}
	found, err := ports.Free(ctx, 6)
	if err != nil {
		return nil, err
	}
	for i, port := range found[:3] {
		r, err := startRedis(ctx, dir, "redis-server", port, "cluster-enabled yes", "cluster-node-timeout 2000", "cluster-port "+strconv.Itoa(found[3+i]))
		if err != nil {
			return servers, err
		}
		servers = append(servers, r)
	}
	args := append([]string{"--cluster", "create"}, servers.Addresses()...)
	if out, err := exec.CommandContext(ctx, "redis-cli", append(args, "--cluster-yes")...).CombinedOutput(); err != nil {
		return servers, fmt.Errorf("cache: make the cluster: %w: %s", err, out)
	}
	return servers, until(ctx, func() error {
		for _, s := range servers {
			if _, err := s.Do(ctx, "GET", "x"); err != nil && !strings.Contains(err.Error(), "MOVED") {
				return err
			}
		}
		return nil
	})
}

// until asks until there is no error any more.
func until(ctx context.Context, ready func() error) error {
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
