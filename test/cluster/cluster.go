package cluster

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"holdfast/test/ports"
)

// The stores that Options.Store names.
const (
	VersityGW = "versitygw" // two gateways over one folder; the default
	Ceph      = "ceph"      // two radosgw over a Ceph cluster in memory
	Local     = "local"     // no S3: each replica has a folder of its own
)

// Options say what Start starts. The zero value, but for Binary, is three
// replicas behind HAProxy over versitygw, on free ports.
type Options struct {
	Dir    string   // keeps configuration, logs, data; empty: a temporary folder that Stop removes
	Store  string   // VersityGW, Ceph or Local; empty: VersityGW
	S3     []string // base URLs of S3 servers that run already, keys AccessKey and SecretKey; then none is started
	Bucket string   // is created; empty: a new name

	Cache string // NoCache, Redis or DynamoDB; empty: CacheVariable, else none
	// CacheFront returns the address that all replicas use for the cache at address: that of a proxy between them. nil: the cache itself.
	CacheFront func(address string) (string, error)

	Replicas     int   // empty: 3
	ReplicaPorts []int // one per replica; empty: free ones
	NoHAProxy    bool  // then URL is the first replica's
	HAProxyPort  int   // 0: a free one
	// HAProxyConfig is the file to adapt to this machine; empty: zot's published sample.
	HAProxyConfig string
	// HAProxyCerts is the folder of the certificates that HAProxyConfig has in /etc/haproxy/certs.
	HAProxyCerts string
	// Trust is given where Edit has the replicas speak TLS: the authorities of their certificate. HAProxyConfig lets TLS through then, or speaks it on both sides.
	Trust *x509.CertPool

	// Front returns the S3 base URL that replica n uses for the gateway at s3: that of a proxy
	// between the two. nil: s3 itself.
	Front func(n int, s3 string) (string, error)

	Binary string   // the holdfast program
	Prefix []string // put before a replica's command: a program that sets limits and executes the rest
	Env    []string // added to each replica's environment
	// Edit changes a replica's configuration before it is written.
	Edit func(map[string]any)
	Log  io.Writer // a line per step; nil: none
}

// A Cluster is a running installation. Its methods are safe for concurrent use,
// but for two that concern one replica.
type Cluster struct {
	URL      string   // of HAProxy, or of the only replica
	Replicas []string // base URL of each replica
	S3       []string // base URL of each S3 gateway; none for Local
	Bucket   string   // empty for Local
	Cache    string   // host:port of the cache that replicas share; empty: there is none

	opt       Options
	cacheKind string
	dir       string
	ports     []int
	fronts    []string // where each replica finds S3
	group     *group
	replicas  []*process
	shared    map[string]any // what configurations say of the cache; nil: nothing
	haproxy   *process
	stopOnce  sync.Once
	stopErr   error
}

// progress tells of one step.
type progress func(format string, args ...any)

// Start starts what opt says and returns when every part is ready. When it
// fails, or ctx ends first, everything that it started has ended again.
func Start(ctx context.Context, opt Options) (_ *Cluster, err error) {
	if opt.Binary == "" {
		return nil, errors.New("cluster: Options.Binary is empty: want the path of the holdfast program")
	}
	opt.Replicas = max(opt.Replicas, len(opt.ReplicaPorts))
	if opt.Replicas == 0 {
		opt.Replicas = 3
	}
	c := &Cluster{opt: opt, replicas: make([]*process, opt.Replicas), fronts: make([]string, opt.Replicas), Bucket: opt.Bucket}
	if c.dir, c.group, err = workplace(opt.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	if err := c.choosePorts(ctx); err != nil {
		return nil, err
	}
	if err := c.startStore(ctx); err != nil {
		return nil, err
	}
	if err := c.startCache(ctx); err != nil {
		return nil, err
	}
	if c.shared, err = c.cacheDriver(); err != nil {
		return nil, err
	}
	for n := range opt.Replicas {
		if err := c.startReplica(ctx, n+1); err != nil {
			return nil, err
		}
		c.Replicas = append(c.Replicas, "http://"+ports.Address(c.ports[n]))
		c.say("replica %d answers at %s", n+1, c.Replicas[n])
	}
	c.URL = c.Replicas[0]
	if opt.NoHAProxy {
		return c, nil
	}
	if c.haproxy, err = c.startHAProxy(ctx); err != nil {
		return nil, err
	}
	c.URL = c.scheme() + ports.Address(c.opt.HAProxyPort)
	c.say("haproxy answers at %s", c.URL)
	return c, nil
}

// workplace returns the folder to work in, a new one for "", and an empty group.
func workplace(dir string) (string, *group, error) {
	var err error
	if dir == "" {
		// Short: the path of HAProxy's socket must fit into 100 bytes.
		dir, err = os.MkdirTemp("", "holdfast-cluster-")
	} else if dir, err = filepath.Abs(dir); err == nil {
		err = os.MkdirAll(dir, 0o750)
	}
	if err != nil {
		return "", nil, fmt.Errorf("cluster: make folder: %w", err)
	}
	g, err := newGroup(filepath.Join(dir, "log"))
	return dir, g, err
}

// choosePorts checks the ports that were asked for and finds the others.
func (c *Cluster) choosePorts(ctx context.Context) error {
	found, err := ports.Free(ctx, c.opt.Replicas+1)
	if err != nil {
		return err
	}
	if c.ports = c.opt.ReplicaPorts; len(c.ports) == 0 {
		c.ports = found[1:]
	}
	if len(c.ports) != c.opt.Replicas {
		return fmt.Errorf("cluster: %d ports for %d replicas", len(c.ports), c.opt.Replicas)
	}
	if c.opt.HAProxyPort == 0 {
		c.opt.HAProxyPort = found[0]
	}
	for i, port := range c.opt.ReplicaPorts {
		err = errors.Join(err, free(ctx, port, fmt.Sprintf("replica %d", i+1)))
	}
	if !c.opt.NoHAProxy && c.opt.HAProxyPort != found[0] {
		err = errors.Join(err, free(ctx, c.opt.HAProxyPort, "HAProxy"))
	}
	return err
}

// startStore starts the S3 servers, unless there are some, and makes the bucket.
func (c *Cluster) startStore(ctx context.Context) (err error) {
	if c.opt.Store == Local {
		return nil
	}
	if c.S3 = c.opt.S3; len(c.S3) == 0 {
		if c.S3, err = startS3(ctx, c.group, c.opt.Store, c.dir, c.say); err != nil {
			return err
		}
	}
	if c.Bucket == "" {
		c.Bucket = "holdfast-" + strings.ToLower(rand.Text()[:12])
	}
	if err := CreateBucket(ctx, c.S3[0], c.Bucket); err != nil {
		return err
	}
	c.say("bucket %s is made", c.Bucket)
	return nil
}

func (c *Cluster) say(format string, args ...any) { sayTo(c.opt.Log)(format, args...) }

func sayTo(w io.Writer) progress {
	return func(format string, args ...any) {
		if w != nil {
			fmt.Fprintf(w, format+"\n", args...) //nolint:errcheck // progress only
		}
	}
}

// Stop ends everything that Start started and removes the temporary folder. Safe twice.
func (c *Cluster) Stop() error {
	c.stopOnce.Do(func() {
		c.group.stop()
		if c.opt.Dir == "" {
			c.stopErr = os.RemoveAll(c.dir)
		}
	})
	return c.stopErr
}

// Complaints returns the last few warnings and errors that each replica has logged,
// for a test that has failed.
func (c *Cluster) Complaints() string {
	const each = 8
	var all strings.Builder
	for n, p := range c.replicas {
		if p == nil {
			continue
		}
		out, err := os.ReadFile(p.log)
		if err != nil {
			fmt.Fprintf(&all, "replica %d: %v\n", n+1, err)
		}
		var lines []string
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, `"WARN"`) || strings.Contains(line, `"ERROR"`) || !strings.HasPrefix(line, "{") {
				lines = append(lines, line)
			}
		}
		fmt.Fprintf(&all, "replica %d warned %d times, at last:\n%s", n+1, len(lines), strings.Join(lines[max(0, len(lines)-each):], ""))
	}
	return all.String()
}
