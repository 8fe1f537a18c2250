package site

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"holdfast/test/cache"
	"holdfast/test/cluster"
)

// Kind is a kind of server.
type Kind string

// The kinds. Direct is the S3 server itself behind a proxy of its own, with no registry.
const (
	Holdfast     Kind = "holdfast"
	Distribution Kind = "distribution"
	Zot          Kind = "zot"
	Nginx        Kind = "nginx"
	Direct       Kind = "s3"
)

// Site is where servers are started: a folder for all that they write, and one S3 server of two processes. One call at a time.
type Site struct {
	programs *cluster.Programs
	stores   *cluster.Programs // the S3 server
	binaries map[Kind]string
	dir      string
	gateways []string // URLs of the S3 server
	buckets  string   // its folder: a bucket is a folder in it, an object a file

	redis    *cache.Redis // nil until a subject needs it
	dynamodb *cache.DynamoDB
}

// New makes a site in the folder dir, which must be there, with the S3 server's files in the folder buckets, or below dir when that is empty; binaries are the
// programs of the kinds that can be started.
func New(dir, buckets string, binaries map[Kind]string) (*Site, error) {
	programs, err := cluster.NewPrograms(dir)
	if err != nil {
		return nil, err
	}
	s := &Site{programs: programs, stores: programs, binaries: binaries, dir: dir}
	if buckets != "" {
		s.stores, err = cluster.NewPrograms(buckets)
	}
	return s, err
}

// Has says whether the kind can be started here.
func (s *Site) Has(k Kind) bool { return k == Direct || s.binaries[k] != "" }

// Close ends all that was started.
func (s *Site) Close() {
	s.programs.Stop()
	s.stores.Stop()
	s.endCaches()
}

// startS3 starts the S3 server, once.
func (s *Site) startS3(ctx context.Context) (err error) {
	if s.gateways == nil {
		s.gateways, s.buckets, err = s.stores.VersityGW(ctx)
	}
	return err
}

// Binaries finds the programs: holdfast is given, distribution by $DISTRIBUTION or among the tools, zot by $ZOT, nginx where Debian puts it.
// What is not there is left out.
func Binaries(holdfast string, peers bool) (map[Kind]string, error) {
	found := map[Kind]string{Holdfast: holdfast}
	if path, err := cluster.Tool("nginx"); err == nil {
		found[Nginx] = path
	}
	if peers {
		if found[Distribution] = os.Getenv("DISTRIBUTION"); found[Distribution] == "" {
			found[Distribution], _ = cluster.Tool("registry") // not there: left out
		}
		found[Zot] = os.Getenv("ZOT")
	}
	for kind, path := range found {
		if path == "" {
			continue
		}
		path, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("site: %s: %w", kind, err)
		}
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("site: %s: %w", kind, err)
		}
		found[kind] = path
	}
	if holdfast == "" {
		return nil, errors.New("site: no program of holdfast")
	}
	return found, nil
}

func newName(kind Kind) string { return string(kind) + "-" + strings.ToLower(rand.Text()[:10]) }
