package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"holdfast/test/ports"
)

//go:embed testdata/ceph.conf
var cephConf string

// ceph is one Ceph cluster of the smallest kind: a monitor, a manager and one
// object store in memory. Its durability is that of the process.
type ceph struct {
	g   *group
	say progress

	dir            string
	fsid           string
	v2Port, v1Port int
}

// startCeph runs a Ceph cluster and two radosgw on it. It takes some 20 s and
// 1.7 GB of memory.
func startCeph(ctx context.Context, g *group, dir string, say progress) ([]string, error) {
	free, err := ports.Free(ctx, 4)
	if err != nil {
		return nil, err
	}
	c := &ceph{g: g, say: say, dir: filepath.Join(dir, "ceph"), fsid: uuid(), v2Port: free[0], v1Port: free[1]}
	for _, step := range []func(context.Context) error{c.configure, c.monitor, c.manager, c.store} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	var urls []string
	for i, port := range free[2:] {
		url, err := c.gateway(ctx, i+1, port)
		if err != nil {
			return nil, err
		}
		urls = append(urls, url)
	}
	_, err = c.run(ctx, "radosgw-admin", "user", "create", "--uid", "test", "--display-name", "test",
		"--access-key", AccessKey, "--secret", SecretKey)
	if err != nil {
		return nil, err
	}
	return urls, warm(ctx, urls[0])
}

// configure writes ceph.conf and a key for every part, and the monitor's map.
func (c *ceph) configure(ctx context.Context) error {
	for _, d := range []string{"mon", "mgr", "osd0", "rgw", "run", "log"} {
		if err := os.MkdirAll(filepath.Join(c.dir, d), 0o750); err != nil {
			return fmt.Errorf("cluster: ceph: %w", err)
		}
	}
	text := strings.NewReplacer("FSID", c.fsid, "DIR", c.dir, "V2PORT", strconv.Itoa(c.v2Port), "V1PORT", strconv.Itoa(c.v1Port)).Replace(cephConf)
	if err := os.WriteFile(c.file("ceph.conf"), []byte(text), 0o600); err != nil {
		return fmt.Errorf("cluster: ceph: %w", err)
	}
	const all = "allow *"
	create := []string{"--create-keyring"}
	for _, key := range []struct{ name, mon, osd, mgr, mds string }{
		{name: "mon.", mon: all},
		{name: "client.admin", mon: all, osd: all, mgr: all, mds: all},
		{name: "client.rgw1", mon: all, osd: all, mgr: all},
		{name: "client.rgw2", mon: all, osd: all, mgr: all},
		{name: "mgr.x", mon: "allow profile mgr", osd: all, mds: all},
		{name: "osd.0", mon: "allow profile osd", osd: all, mgr: "allow profile osd"},
	} {
		args := append(create, c.file("keyring"), "--gen-key", "-n", key.name)
		create = nil
		for _, p := range [][2]string{{"mon", key.mon}, {"osd", key.osd}, {"mgr", key.mgr}, {"mds", key.mds}} {
			if p[1] != "" {
				args = append(args, "--cap", p[0], p[1])
			}
		}
		if _, err := c.run(ctx, "ceph-authtool", args...); err != nil {
			return err
		}
	}
	where := fmt.Sprintf("[v2:%s,v1:%s]", ports.Address(c.v2Port), ports.Address(c.v1Port))
	_, err := c.run(ctx, "monmaptool", "--create", "--clobber", "--fsid", c.fsid, "--addv", "a", where, c.file("monmap"))
	return err
}

func (c *ceph) monitor(ctx context.Context) error {
	if _, err := c.run(ctx, "ceph-mon", "-i", "a", "--mkfs", "--monmap", c.file("monmap"), "--keyring", c.file("keyring")); err != nil {
		return err
	}
	c.say("starting ceph")
	return c.daemon(ctx, "ceph-mon", []string{"-i", "a", "-f"}, func(ctx context.Context) error {
		_, err := c.run(ctx, "ceph", "--connect-timeout", "2", "mon", "stat")
		return err
	})
}

func (c *ceph) manager(ctx context.Context) error {
	return c.daemon(ctx, "ceph-mgr", []string{"-i", "x", "-f"}, nil)
}

func (c *ceph) store(ctx context.Context) error {
	id := uuid()
	if _, err := c.run(ctx, "ceph", "osd", "new", id); err != nil {
		return err
	}
	// It complains of the missing keyring of its own and is nevertheless made.
	if _, err := c.run(ctx, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", id); err != nil {
		c.say("ceph-osd --mkfs: %v", err)
	}
	return c.daemon(ctx, "ceph-osd", []string{"-i", "0", "-f"}, func(ctx context.Context) error {
		out, err := c.run(ctx, "ceph", "osd", "stat")
		if err == nil && !strings.Contains(out, "1 up") {
			err = fmt.Errorf("cluster: ceph: %s", strings.TrimSpace(out))
		}
		return err
	})
}

func (c *ceph) gateway(ctx context.Context, n, port int) (string, error) {
	url := "http://" + ports.Address(port)
	args := []string{"-n", "client.rgw" + strconv.Itoa(n), "--rgw-frontends", "beast endpoint=" + ports.Address(port), "-f"}
	if err := c.daemon(ctx, "radosgw-"+strconv.Itoa(n), args, answers(url+"/", 0)); err != nil {
		return "", err
	}
	c.say("radosgw %d answers at %s", n, url)
	return url, nil
}

// daemon starts one part and waits until probe (nil: nothing to wait for) is content.
// The end is SIGKILL: a memory store that is asked politely first saves itself to disk.
func (c *ceph) daemon(ctx context.Context, name string, args []string, probe func(context.Context) error) error {
	bin, err := Tool(strings.TrimRight(name, "-0123456789"))
	if err != nil {
		return err
	}
	p, err := c.g.start(ctx, command{name: name, path: bin, args: args, env: c.env(), end: syscall.SIGKILL})
	if err != nil || probe == nil {
		return err
	}
	return p.ready(ctx, 90*time.Second, probe)
}

// run runs one of Ceph's own tools to its end and returns what it printed.
func (c *ceph) run(ctx context.Context, name string, args ...string) (string, error) {
	bin, err := Tool(name)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), c.env()...)
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("cluster: %s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(errs.Bytes()))
	}
	return out.String(), nil
}

func (c *ceph) env() []string { return []string{"CEPH_CONF=" + c.file("ceph.conf")} }

func (c *ceph) file(name string) string { return filepath.Join(c.dir, name) }

// uuid returns a random UUID (version 4), Ceph's form for the ids of its parts.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
