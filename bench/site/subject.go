package site

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"holdfast/bench/proxy"
	"holdfast/test/cluster"
	"holdfast/test/ports"
)

// Setup says what to start.
type Setup struct {
	Kind     Kind
	Name     string // in reports; empty: the kind
	Local    bool   // over a directory, not over a bucket
	Commit   bool   // a blob is on the disk before it is acknowledged; over a directory alone
	Replicas int    // more than one: behind HAProxy; 0 is one
	Search   bool   // zot: with its index of all images, which it fills when it starts
	Cache    bool   // distribution: with its cache in memory, which is for one process alone
	Remember Memory // Holdfast: what it remembers, and with whom
	Profiled bool   // Holdfast: with the listener that Profile asks
}

// Subject is a server that is measured.
type Subject struct {
	Setup
	URL    string       // of the server, or of the HAProxy before its replicas
	Proxy  *proxy.Proxy // before the S3 server; nil over a directory
	Bucket string       // empty over a directory
	Folder string       // of what it stores: a file for each object, or its directory

	site     *Site
	shared   map[string]any // storage.cacheDriver
	configs  []string
	ports    []int
	admin    int // port of the first replica's second listener; 0: it has none
	children []*cluster.Child
	balancer *cluster.Child
}

// Start starts a subject over an empty store, with no latency at its proxy.
func (s *Site) Start(ctx context.Context, setup Setup) (_ *Subject, err error) {
	if setup.Name == "" {
		setup.Name = string(setup.Kind)
	}
	setup.Replicas = max(setup.Replicas, 1)
	sub := &Subject{Setup: setup, site: s}
	defer func() {
		if err != nil {
			err = errors.Join(err, sub.Stop())
		}
	}()
	name := newName(setup.Kind)
	if setup.Local {
		sub.Folder = filepath.Join(s.dir, name)
		if err := os.Mkdir(sub.Folder, 0o700); err != nil {
			return nil, fmt.Errorf("site: make a directory: %w", err)
		}
	} else {
		if err := s.startS3(ctx); err != nil {
			return nil, err
		}
		if err := cluster.CreateBucket(ctx, s.gateways[0], name); err != nil {
			return nil, err
		}
		sub.Bucket, sub.Folder = name, filepath.Join(s.buckets, name)
		if sub.Proxy, err = proxy.Start(ctx, s.gateways...); err != nil {
			return nil, err
		}
	}
	if setup.Kind == Direct {
		sub.URL = sub.Proxy.URL
		return sub, nil
	}
	if sub.shared, err = s.sharedCache(ctx, setup.Remember); err != nil {
		return nil, err
	}
	if sub.ports, err = ports.Free(ctx, setup.Replicas); err != nil {
		return nil, err
	}
	if setup.Profiled {
		free, err := ports.Free(ctx, 1)
		if err != nil {
			return nil, err
		}
		sub.admin = free[0]
	}
	for n := range setup.Replicas {
		text, err := sub.config(n)
		if err != nil {
			return nil, err
		}
		file := filepath.Join(s.dir, name+"-"+strconv.Itoa(n+1)+setup.Kind.extension())
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return nil, fmt.Errorf("site: write a configuration: %w", err)
		}
		sub.configs = append(sub.configs, file)
	}
	sub.URL = sub.address(0)
	if _, err := sub.Restart(ctx); err != nil {
		return nil, err
	}
	if setup.Replicas > 1 {
		if sub.balancer, sub.URL, err = s.programs.HAProxy(ctx, "haproxy-"+name, sub.ports); err != nil {
			return nil, err
		}
	}
	return sub, nil
}

func (s *Subject) address(n int) string { return "http://127.0.0.1:" + strconv.Itoa(s.ports[n]) }

// Restart ends the subject's processes when they run, starts them again one after the other, and returns how long the first took from its
// start until it was ready. What a process knew by heart is gone. Direct has no process.
func (s *Subject) Restart(ctx context.Context) (took time.Duration, err error) {
	s.halt()
	for n, file := range s.configs {
		child, one, err := s.start(ctx, n, file)
		if err != nil {
			return 0, err
		}
		s.children = append(s.children, child)
		if n == 0 {
			took = one
		}
	}
	return took, nil
}

func (s *Subject) start(ctx context.Context, n int, file string) (*cluster.Child, time.Duration, error) {
	began := time.Now()
	name := filepath.Base(file)
	child, err := s.site.programs.Start(ctx, cluster.Program{Name: name, Path: s.site.binaries[s.Kind], Args: s.Kind.arguments(file), Env: s.environment()})
	if err != nil {
		return nil, 0, err
	}
	// By a hand of its own: what is measured here is milliseconds.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		if answers(ctx, client, s.address(n)+s.Kind.ready()) {
			return child, time.Since(began), nil
		}
		select {
		case <-child.Ended():
			return nil, 0, fmt.Errorf("site: %s has ended at its start%s", name, child.Tail())
		case <-ctx.Done():
			child.Stop()
			return nil, 0, fmt.Errorf("site: %s is not ready: %w%s", name, ctx.Err(), child.Tail())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// Profile writes where the first replica's CPU time goes in the next seconds. The subject must be Profiled.
func (s *Subject) Profile(ctx context.Context, seconds int, out io.Writer) error {
	url := fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/profile?seconds=%d", s.admin, seconds)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("site: %w", err)
	}
	_, err = io.Copy(out, resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("site: %s is answered %s", url, resp.Status))
	}
	return errors.Join(err, resp.Body.Close())
}

func answers(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

func (s *Subject) halt() {
	for _, c := range s.children {
		c.Stop()
	}
	s.children = nil
}

// Empty removes all objects of the subject's store, behind its back. The S3 server may still write what the subject asked for before it
// ended.
func (s *Subject) Empty() error {
	if s.Folder == "" {
		return nil
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := os.RemoveAll(s.Folder)
		if !errors.Is(err, syscall.ENOTEMPTY) || time.Now().After(end) {
			return err
		}
	}
}

// Stop ends the subject and removes what it stored. Safe twice.
func (s *Subject) Stop() error {
	if s.balancer != nil {
		s.balancer.Stop()
	}
	s.halt()
	if s.Proxy != nil {
		s.Proxy.Close()
	}
	return s.Empty()
}

// Counts are what the subject asked of the S3 server so far; zero over a directory.
func (s *Subject) Counts() proxy.Counts {
	if s.Proxy == nil {
		return proxy.Counts{}
	}
	return s.Proxy.Counts()
}
