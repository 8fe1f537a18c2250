package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"holdfast/test/cache"
	"holdfast/test/ports"
)

// The shared caches that Options.Cache names.
const (
	NoCache  = "none"
	Redis    = "redis"
	DynamoDB = "dynamodb" // dynalite
)

// CacheVariable is the environment's choice, where Options.Cache is empty: so that drills, clients and conformance run with each.
const CacheVariable = "HOLDFAST_TEST_CACHE"

// startCache starts the cache that replicas share, unless there is to be none. The table of DynamoDB is made by the replicas.
func (c *Cluster) startCache(ctx context.Context) error {
	kind := cmp.Or(c.opt.Cache, os.Getenv(CacheVariable), NoCache)
	if kind == NoCache || c.opt.Store == Local {
		return nil
	}
	found, err := ports.Free(ctx, 1)
	if err != nil {
		return err
	}
	at := ports.Address(found[0])
	var cmd command
	switch kind {
	case Redis:
		dir := filepath.Join(c.dir, "redis")
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return fmt.Errorf("cluster: make folder: %w", err)
		}
		cmd = command{name: Redis, args: []string{
			"--bind", "127.0.0.1", "--port", strconv.Itoa(found[0]), "--dir", dir, "--save", "", "--appendonly", "no", "--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru",
		}}
		cmd.path, err = Tool("redis-server")
	case DynamoDB:
		script := cache.DynaliteScript()
		cmd = command{name: DynamoDB, args: []string{script, "--host", "127.0.0.1", "--port", strconv.Itoa(found[0]), "--createTableMs", "50"}}
		if cmd.path, err = Tool("node"); err == nil {
			_, err = os.Stat(script)
		}
	default:
		return fmt.Errorf("cluster: there is no cache %s: want none, redis or dynamodb", kind)
	}
	if err != nil {
		return fmt.Errorf("cluster: start the cache: %w: run scripts/tools.sh cache", err)
	}
	p, err := c.group.start(ctx, cmd)
	if err != nil {
		return err
	}
	c.Cache, c.cacheKind = at, kind
	c.say("%s answers at %s", kind, at)
	return p.ready(ctx, 20*time.Second, c.answersCache)
}

// answersCache is a probe: somebody listens.
func (c *Cluster) answersCache(ctx context.Context) error {
	conn, err := dial(ctx, c.Cache)
	if err != nil {
		return err
	}
	return conn.Close()
}

// cacheDriver is what the configuration of a replica says of the cache; nil: nothing.
func (c *Cluster) cacheDriver() (map[string]any, error) {
	at := c.Cache
	if c.opt.CacheFront != nil && at != "" {
		var err error
		if at, err = c.opt.CacheFront(at); err != nil {
			return nil, fmt.Errorf("cluster: proxy before the cache: %w", err)
		}
	}
	switch c.cacheKind {
	case Redis:
		return map[string]any{"name": Redis, "url": "redis://" + at, "keyprefix": "zot"}, nil
	case DynamoDB:
		return map[string]any{"name": DynamoDB, "endpoint": "http://" + at, "region": Region, "cacheTablename": "ZotBlobTable"}, nil
	}
	return nil, nil
}

// SignalCache sends sig to the server of the cache.
func (c *Cluster) SignalCache(sig syscall.Signal) error {
	var errs []error
	for _, p := range append(c.group.of(Redis), c.group.of(DynamoDB)...) {
		errs = append(errs, p.signal(sig))
	}
	return errors.Join(errs...)
}

// RestartCache ends the server of the cache when it still runs, and starts it again, empty, at the same address.
func (c *Cluster) RestartCache(ctx context.Context) error {
	for _, old := range append(c.group.of(Redis), c.group.of(DynamoDB)...) {
		old.stop()
		c.group.forget(old)
		p, err := c.group.start(ctx, old.command)
		if err != nil {
			return err
		}
		if err := p.ready(ctx, 20*time.Second, c.answersCache); err != nil {
			return err
		}
	}
	return nil
}
