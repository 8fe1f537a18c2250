package site

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"holdfast/test/cluster"
	"holdfast/test/fault"
	"holdfast/test/history/call"
	"holdfast/test/history/store"
	"holdfast/test/history/work"
)

// Options say what to start.
type Options struct {
	Binary  string   // of the registry
	Zot     bool     // the binary is zot's: it is configured as its own page on clustering says
	HAProxy string   // configuration to adapt; "": zot's published sample
	Store   string   // versitygw or ceph; "": versitygw
	S3      []string // gateways that run already; none: they are started
	Env     []string // of each replica
	Dir     string   // for configuration, logs and data; "": a temporary one
	Log     io.Writer
	Faults  bool // there will be some: proxies stand before the store
}

// Site is a registry that runs.
type Site struct {
	Balancer work.Target
	Replicas []work.Target // none when only a balancer is known

	cluster *cluster.Cluster // nil: not ours
	proxies []*fault.Proxy   // before each replica's store
	foreign bool             // not Holdfast

	past []call.Call // of all histories that were made here
}

// Remember adds the calls of a history to those that were made here before, and returns all: the store has what all of
// them left.
func (s *Site) Remember(calls []call.Call) []call.Call {
	s.past = append(s.past, calls...)
	return s.past
}

// Targets are the balancer and all replicas.
func (s *Site) Targets() []work.Target { return append([]work.Target{s.Balancer}, s.Replicas...) }

// Direct are the replicas, or what there is instead.
func (s *Site) Direct() []work.Target {
	if len(s.Replicas) == 0 {
		return []work.Target{s.Balancer}
	}
	return s.Replicas
}

// Running returns an installation that runs already: base URLs, that of the balancer first.
func Running(urls []string) (*Site, error) {
	if len(urls) == 0 {
		return nil, errors.New("site: no URL of a registry that runs")
	}
	s := &Site{}
	for n, u := range urls {
		if !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") {
			return nil, fmt.Errorf("site: %q is no URL: want http://host:port", u)
		}
		t := work.Target{Name: fmt.Sprintf("replica%d", n), URL: strings.TrimRight(u, "/")}
		if n == 0 {
			t.Name = "balancer"
			s.Balancer = t
			continue
		}
		s.Replicas = append(s.Replicas, t)
	}
	return s, nil
}

// Start starts an installation; Stop ends it.
func Start(ctx context.Context, opt Options) (*Site, error) {
	s := &Site{foreign: opt.Zot}
	o := cluster.Options{
		Binary: opt.Binary, HAProxyConfig: opt.HAProxy, Store: opt.Store, S3: opt.S3, Env: opt.Env, Dir: opt.Dir, Log: opt.Log,
		Edit: func(cfg map[string]any) {
			cfg["log"] = map[string]any{"level": "warn"}
			// The bucket is checked key by key, and by what clients did alone. What a collector makes of it the drills check.
			cfg["storage"].(map[string]any)["gc"] = false
		},
	}
	if opt.Faults {
		o.Front = func(n int, s3 string) (string, error) {
			p, err := fault.New(ctx, s3, uint64(n))
			if err != nil {
				return "", err
			}
			s.proxies = append(s.proxies, p)
			return p.URL, nil
		}
	}
	if opt.Zot {
		o.Edit = likeZot
	}
	var err error
	if s.cluster, err = cluster.Start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("site: %w", err), s.Stop())
	}
	s.Balancer = work.Target{Name: "balancer", URL: s.cluster.URL}
	for n, u := range s.cluster.Replicas {
		s.Replicas = append(s.Replicas, work.Target{Name: fmt.Sprintf("replica%d", n+1), URL: u})
	}
	return s, nil
}

// likeZot is the configuration of stateless zot replicas: no cache, so neither deduplication nor garbage collection.
func likeZot(cfg map[string]any) {
	storage := cfg["storage"].(map[string]any)
	storage["dedupe"], storage["gc"], storage["remoteCache"] = false, false, false
	storage["storageDriver"].(map[string]any)["forcepathstyle"] = true
	delete(cfg["http"].(map[string]any), "drainDelay")
	cfg["log"] = map[string]any{"level": "error"}
}

// Place says where the store can be looked at, and false when it is not known, or not of our format.
func (s *Site) Place() (store.Place, bool) {
	if s.cluster == nil || s.foreign || len(s.cluster.S3) == 0 {
		return store.Place{}, false
	}
	return store.Place{
		Endpoint: s.cluster.S3[0], Region: cluster.Region, Bucket: s.cluster.Bucket,
		AccessKey: cluster.AccessKey, SecretKey: cluster.SecretKey, Root: "zot/holdfast/",
	}, true
}

// Complaints are what the replicas logged at last.
func (s *Site) Complaints() string {
	if s.cluster == nil {
		return ""
	}
	return s.cluster.Complaints()
}

// Stop ends what Start started, at once.
func (s *Site) Stop() error {
	var errs []error
	if s.cluster != nil {
		for n := range s.cluster.Replicas {
			err := s.cluster.Signal(n+1, syscall.SIGKILL)
			if err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH) {
				errs = append(errs, err)
			}
		}
		errs = append(errs, s.cluster.Stop())
	}
	for _, p := range s.proxies {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}
