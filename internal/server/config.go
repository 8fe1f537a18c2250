package server

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"holdfast/internal/access/policy"
	"holdfast/internal/collect/retain"
	"holdfast/internal/config"
	"holdfast/internal/format"
	"holdfast/internal/quota"
	"holdfast/internal/redirect"
	"holdfast/internal/s3"
)

// Config is everything that a server needs to know.
type Config struct {
	Version  string           // of this program
	Features []format.Feature // of the storage format, that it knows
	Storage  Storage
	SubPaths map[string]Storage // stores of their own for the repositories below a path
	// MemoryBudget bounds the bytes of uploads that are in memory on their way to S3, for the whole process; 0: 128 MiB.
	MemoryBudget int64

	Address      string        // host:port
	Progress     time.Duration // a body without progress for this long is cut; 0: never
	DrainDelay   time.Duration // how long a server that ends goes on serving, so that load balancers notice
	DrainTimeout time.Duration // how long it then waits for what is in flight
	NoDelete     bool          // deletes answer 405
	Scrub        Scrub
	MetricsPath  string // where the metrics are served; "": nowhere
	Observe      Observe
	Edge         Edge

	Auth  config.Auth   // who may come in
	Rules policy.Config // who may do what

	// AgesDivisor is what Scaled divided all ages by: a test's. 0 and 1: they are what they should be.
	AgesDivisor int64

	// ExitIfUnavailable gives up, with ErrUnavailable, when a store does not answer within ten seconds.
	// Else the server listens, is not ready, and tries for ever.
	ExitIfUnavailable bool

	Host Host
}

// Storage is one store: S3, or without it a directory of this machine.
type Storage struct {
	S3  *s3.Config
	Dir string

	NoSync        bool            // local: acknowledged before it is on disk
	Redirect      bool            // S3: clients read whole blobs from the store itself
	RedirectRules []redirect.Rule // S3: before Redirect, for which clients and blobs that is so
	IgnoreForeign bool            // start although another registry's data lies where ours would
	MaxBlobBytes  int64
	BlobCache     BlobCache // S3: of blobs that are pulled

	Ages    format.Ages // zero: format.DefaultAges
	Collect Collection
	Limits  []quota.Limit
	Cache   Cache // S3
}

// BlobCache is a directory of this machine for copies of what is pulled. The zero value is none.
type BlobCache struct {
	Dir      string
	MaxBytes int64
}

// Collection is the collector of one store. Its grace is that of Storage.Ages.
type Collection struct {
	Enabled           bool
	Interval          time.Duration        // from the end of a pass to the next; 0: one pass after the start
	Window            func(time.Time) bool // when a pass may begin; nil: always
	RequestsPerSecond int                  // to the store; 0: no bound
	Delay             time.Duration        // how long a manifest without a tag is kept, when it is longer than the grace
	Policies          retain.Policies
	KeepTags          bool // retention decides and tells, and removes nothing
}

// Observe is what is told of a replica, beside its metrics.
type Observe struct {
	AdminAddress string     // host:port of the listener for metrics, health and profiles; "": none
	Requests     slog.Level // of the line about a request that is no fault of ours
	Audit        string     // where the audit log goes: see audit.Open
	Traces       string     // where traces are sent to: see trace.Config.Endpoint
}

// Scrub is the check of what is stored, of all stores.
type Scrub struct {
	Enabled  bool
	Interval time.Duration // from the end of a round to the next; 0: 24 h
}

// dirs are the directories of the local stores, the root's first.
func (c Config) dirs() []string {
	var dirs []string
	for _, st := range append([]Storage{c.Storage}, slices.Collect(maps.Values(c.SubPaths))...) {
		if st.S3 == nil {
			dirs = append(dirs, st.Dir)
		}
	}
	return dirs
}

// Scaled returns the configuration with all ages, delays, spans of retention and the rest between rounds of the scrub divided by one number, so that a
// test sees within a minute what takes a day. Errors: the ages become too short for the resolution of store times.
func (c Config) Scaled(by int64) (Config, error) {
	if by < 1 {
		return c, fmt.Errorf("server: ages cannot be divided by %d", by)
	}
	c.AgesDivisor = by
	c.Scrub.Interval /= time.Duration(by)
	var err error
	if c.Storage, err = c.Storage.scaled(by); err != nil {
		return c, err
	}
	subs := map[string]Storage{}
	for path, sub := range c.SubPaths {
		if subs[path], err = sub.scaled(by); err != nil {
			return c, err
		}
	}
	c.SubPaths = subs
	return c, nil
}

func (s Storage) scaled(by int64) (Storage, error) {
	d := time.Duration(by)
	if s.Ages == (format.Ages{}) {
		s.Ages = format.DefaultAges()
	}
	s.Ages = s.Ages.Divided(by)
	s.Collect.Delay /= d
	divide := func(r *retain.Rules) {
		r.PulledWithin /= d
		r.PushedWithin /= d
	}
	s.Collect.Policies = slices.Clone(s.Collect.Policies)
	for i := range s.Collect.Policies {
		p := &s.Collect.Policies[i]
		divide(&p.KeepUntagged)
		p.KeepTags = slices.Clone(p.KeepTags)
		for j := range p.KeepTags {
			divide(&p.KeepTags[j].Rules)
		}
	}
	return s, s.Ages.Check()
}
