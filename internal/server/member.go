package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"holdfast/internal/cluster"
	"holdfast/internal/format"
)

// secretEvery is how often, on average, a replica looks whether the cluster's secret was replaced: it knows within a minute.
const secretEvery = 45 * time.Second

// asReplica is what a server tells the others of itself.
func (s *Server) asReplica() cluster.Config {
	return cluster.Config{
		Process: cluster.Process{Version: s.cfg.Version, Role: cluster.Replica, Features: s.cfg.Features},
		Vitals:  s.vitals,
		Refused: func(err error) {
			s.log.Error("the store asks for more than this version knows: not ready any more", "err", err)
			s.health.refused.Store(err.Error())
		},
	}
}

// asCommand is what a command tells the replicas of itself.
func asCommand(cfg Config) cluster.Config {
	return cluster.Config{
		Process: cluster.Process{Version: cfg.Version, Role: cluster.Command, Features: cfg.Features},
		Vitals:  func() cluster.Vitals { return cluster.Vitals{State: cluster.Working} },
	}
}

// vitals are how this server is. What is of a store its own join adds.
func (s *Server) vitals() cluster.Vitals {
	v := cluster.Vitals{InFlight: s.recent.InFlight(), Requests: s.recent.LastMinute()}
	if address := s.address.Load(); address != nil {
		v.Address = *address
	}
	switch status, text := s.health.state(); {
	case status == http.StatusOK:
		v.State = cluster.Ready
	case s.health.draining.Load():
		v.State = cluster.Draining
	case !s.health.started.Load():
		v.State = cluster.Starting
	default:
		v.State, v.Why = cluster.NotReady, text
	}
	return v
}

// join joins those that write to the store. From here on its records are behind the member's gate.
func (s *store) join(ctx context.Context, cfg cluster.Config, log *slog.Logger) error {
	if s.cfg.Ages == (format.Ages{}) {
		s.cfg.Ages = format.DefaultAges()
	}
	s.features = cfg.Features
	of := cfg.Vitals
	cfg.Vitals = func() cluster.Vitals {
		v := of()
		v.Store = s.calls.LastMinute()
		if s.client != nil {
			v.ClockOffset, _ = s.client.ClockOffset()
		}
		return v
	}
	s.log = log.With("store", s.name)
	s.member = cluster.New(s.format(), cfg, s.log)
	err := s.member.Join(ctx)
	s.records = s.member.Records()
	return s.refusedIfNewer(err)
}

// refusedIfNewer marks the error of a store that asks for more than this version knows.
func (s *store) refusedIfNewer(err error) error {
	var newer *format.NewerError
	if errors.As(err, &newer) {
		return fmt.Errorf("%w: %s: %w", ErrRefused, s.name, err)
	}
	return err
}

// leave tells the others that this process ends.
func (s *store) leave(ctx context.Context) error {
	if s.member == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	return s.member.Leave(ctx)
}

// keepMember makes heartbeats, and looks for another secret, until ctx ends.
func (s *store) keepMember(ctx context.Context, log *slog.Logger) {
	if s.member == nil {
		return
	}
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() {
		for {
			sleep(ctx, secretEvery*4/5+rand.N(secretEvery*2/5)) //nolint:gosec // G404: jitter is no secret
			if ctx.Err() != nil {
				return
			}
			if err := s.registry.RefreshSecret(ctx); err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "the cluster's secret was not looked at; the last one that is known stays in use", "store", s.name, "err", err)
			}
		}
	})
	s.member.Soon() // now it is known where it listens, and that it is ready
	s.member.Run(ctx)
}

// keepJoined makes the heartbeats of a command until the function that it returns is called.
func keepJoined(ctx context.Context, stores []*store) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for _, st := range stores {
		all.Go(func() { st.member.Run(ctx) })
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// tellOthers makes a heartbeat at once at every store that is open.
func (s *Server) tellOthers() {
	if s.api.Load() == nil {
		return // the stores are not open, or are just being opened: then the first heartbeat tells it
	}
	for _, st := range s.stores {
		if st.member != nil {
			st.member.Soon()
		}
	}
}

// countReplicas keeps count of the replicas, for bounds that they share, until ctx ends. Where there are no such bounds it asks nothing.
func (s *Server) countReplicas(ctx context.Context) {
	for ctx.Err() == nil {
		if (s.now().Auth.Given || s.edge.together.Load() != nil && s.edge.now().rates.Any()) && s.stores[0].client != nil {
			n, err := cluster.Alive(ctx, s.stores[0].format())
			if err == nil {
				s.replicas.Store(int64(n))
			} // else the count before is as good as any
		}
		sleep(ctx, cluster.Interval)
	}
}
