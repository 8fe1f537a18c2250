package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// Servers are S3 servers alone, by name, for the tests of drivers.
type Servers struct {
	URLs map[string][]string // by Options.Store's names; two gateways each

	names []string
	dir   string
	group *group
}

// StartS3 starts the named S3 servers (VersityGW, Ceph), at once. When it fails,
// or ctx ends first, everything that it started has ended again.
func StartS3(ctx context.Context, log io.Writer, names ...string) (_ *Servers, err error) {
	s := &Servers{URLs: make(map[string][]string), names: names}
	if s.dir, s.group, err = workplace(""); err != nil {
		return nil, err
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for _, name := range names {
		wg.Go(func() {
			urls, err := startS3(ctx, s.group, name, s.dir, sayTo(log))
			mu.Lock()
			defer mu.Unlock()
			s.URLs[name], errs = urls, append(errs, err)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func startS3(ctx context.Context, g *group, name, dir string, say progress) ([]string, error) {
	switch name {
	case "", VersityGW:
		return startVersityGW(ctx, g, dir, say)
	case Ceph:
		return startCeph(ctx, g, dir, say)
	default:
		return nil, fmt.Errorf("cluster: unknown store %q: want %s or %s", name, VersityGW, Ceph)
	}
}

// Env returns the servers in the form of $HOLDFAST_TEST_S3:
// name=url|url,name=url|url.
func (s *Servers) Env() string {
	var parts []string
	for _, name := range s.names {
		parts = append(parts, name+"="+strings.Join(s.URLs[name], "|"))
	}
	return strings.Join(parts, ",")
}

// ParseEnv is the inverse of Servers.Env. Empty is empty.
func ParseEnv(value string) (map[string][]string, error) {
	urls := make(map[string][]string)
	if value == "" {
		return urls, nil
	}
	for part := range strings.SplitSeq(value, ",") {
		name, list, ok := strings.Cut(part, "=")
		if !ok || name == "" || list == "" {
			return nil, fmt.Errorf("cluster: HOLDFAST_TEST_S3: %q: want name=url|url", part)
		}
		urls[name] = strings.Split(list, "|")
	}
	return urls, nil
}

// Stop ends the servers. Safe twice.
func (s *Servers) Stop() error {
	s.group.stop()
	return os.RemoveAll(s.dir)
}
