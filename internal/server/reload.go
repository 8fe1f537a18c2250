package server

import (
	"context"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/api"
)

// Source gives a running server its configuration anew. The zero value never does.
type Source struct {
	// Changed is sent why the configuration is to be read again.
	Changed <-chan string
	// Load reads it. Its error is everything that is wrong with it: then the server keeps what it has.
	Load func(ctx context.Context) (Config, error)
}

// reloading is how a server takes a new configuration while it serves.
type reloading struct {
	live    atomic.Pointer[Config] // what the server goes by: that of its start with what could be changed since
	mu      sync.Mutex             // held while live is carried into stores and API
	changes changes                // of live

	applied, refused atomic.Int64
	failed           atomic.Bool // the last one was refused
}

// begin is to be called before anything else goes by the configuration.
func (s *Server) begin(ctx context.Context) {
	cfg := s.cfg
	s.reload.live.Store(&cfg)
	s.metrics.Reloads(s.reload.applied.Load, s.reload.refused.Load, func() bool { return !s.reload.failed.Load() })
	if s.cfg.Host.Listener != nil {
		s.log.InfoContext(ctx, "listening on a socket that was handed over: the configured address is not used", "configured", s.cfg.Address)
	}
}

// now is the configuration that the server goes by.
func (s *Server) now() Config {
	if live := s.reload.live.Load(); live != nil {
		return *live
	}
	return s.cfg
}

// opening is the configuration that stores are opened by: that of now, but for their collectors. What is noted for them all the time, hints and pulls, is what
// that of the start asks for, also when the stores are opened late: a later configuration may come back to it, and would find pulls that nobody noted.
func (s *Server) opening() Config {
	cfg := s.now()
	cfg.Storage.Collect = s.cfg.Storage.Collect
	cfg.SubPaths = maps.Clone(cfg.SubPaths)
	for path, sub := range cfg.SubPaths {
		sub.Collect = s.cfg.SubPaths[path].Collect
		cfg.SubPaths[path] = sub
	}
	return cfg
}

// rules are what the store's collector goes by now.
func (s *store) rules() Collection {
	if live := s.live.Load(); live != nil {
		return *live
	}
	return s.cfg.Collect
}

func (s *Server) apiConfig() api.Config {
	cfg := s.now()
	minBodyRate := cfg.Edge.MinBodyRate
	if minBodyRate == 0 {
		minBodyRate = -1 // the API takes 0 for its default
	}
	return api.Config{Progress: cfg.Progress, MinBodyRate: minBodyRate, NoDelete: cfg.NoDelete, Challenge: s.challenge}
}

// reloads reads the configuration again whenever its source says so, until ctx ends.
func (s *Server) reloads(ctx context.Context) {
	for {
		select {
		case why := <-s.cfg.Host.Source.Changed:
			s.again(ctx, why)
		case <-ctx.Done():
			return
		}
	}
}

// again reads the configuration and goes by it, as far as that is possible without a restart. One with a mistake changes nothing.
func (s *Server) again(ctx context.Context, why string) {
	s.reloadBegins(ctx)
	s.reopenAudit(ctx)
	next, err := s.cfg.Host.Source.Load(ctx)
	var used Config
	if err == nil {
		used, err = s.apply(ctx, next)
	}
	s.reload.failed.Store(err != nil)
	at := time.Now().UTC().Format(time.RFC3339)
	var text string
	switch {
	case err != nil:
		s.reload.refused.Add(1)
		text = "as before; a new one was refused at " + at + ", the log says why"
		s.log.ErrorContext(ctx, "the new configuration is refused; the one before stays in force", "why", why, "err", err)
	default:
		s.reload.applied.Add(1)
		text = "read again at " + at
		if keys := needRestart(used, next); len(keys) > 0 {
			text += "; needs a restart: " + strings.Join(keys, ", ")
			s.log.WarnContext(ctx, "a part of the new configuration needs a restart", "keys", keys)
		}
		s.log.InfoContext(ctx, "the configuration was read again", "why", why)
	}
	s.health.config.Store(&text)
	s.reloadEnds(ctx)
}

// apply goes by what can be changed to the next configuration, and returns what the server goes by now. Errors: ErrRefused; then nothing has changed.
func (s *Server) apply(ctx context.Context, next Config) (Config, error) {
	s.reload.mu.Lock()
	defer s.reload.mu.Unlock()
	live, before := merged(s.cfg, next), s.now()
	var root *store
	if s.stores != nil {
		root = s.stores[0]
	}
	if err := s.openDoor(ctx, live, root); err != nil {
		return before, err
	}
	s.reload.live.Store(&live)
	s.turnEdge(ctx, live.Edge)
	if s.stores != nil { // else use does it
		s.configure(ctx)
	}
	if !sameWork(before, live) {
		s.reload.changes.tell()
	}
	return live, nil
}

// configure carries the configuration into the open stores and the API over them. s.reload.mu is held.
func (s *Server) configure(ctx context.Context) {
	cfg := s.now()
	for _, st := range s.stores {
		storage := cfg.Storage
		for path, sub := range cfg.SubPaths {
			if st.path == "/"+strings.Trim(path, "/") {
				storage = sub
			}
		}
		st.live.Store(&storage.Collect)
		st.book.SetLimits(storage.Limits)
		st.registry.SetMaxBlobBytes(storage.MaxBlobBytes)
		if err := st.redirectBy(storage); err != nil { // the configuration was checked: a mistake of ours
			s.log.ErrorContext(ctx, "who is redirected to the store stays as it was", "store", st.name, "err", err)
		}
		if keys := storage.S3; st.client != nil && keys.AccessKey != "" && !st.client.SetKeys(keys.AccessKey, keys.SecretKey, keys.SessionToken) {
			s.log.WarnContext(ctx, "the store has no keys of the configuration", "store", st.name)
		}
	}
	s.api.Store(s.api.Load().With(s.apiConfig()))
}

// changes tells all who work by something that it is another. The zero value is ready to use.
type changes struct {
	mu   sync.Mutex
	next chan struct{} // closed with the next change; nil: nobody waits for it
}

// tell ends the work that is under way in all serve.
func (c *changes) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next != nil {
		close(c.next)
		c.next = nil
	}
}

func (c *changes) wait() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil {
		c.next = make(chan struct{})
	}
	return c.next
}

// serve does work until ctx ends, and begins anew after each change. Work that ends by itself waits for the next change.
func (c *changes) serve(ctx context.Context, work func(context.Context)) {
	for ctx.Err() == nil {
		changed := c.wait() // before work looks at what may change
		turn, end := context.WithCancel(ctx)
		var watching sync.WaitGroup
		watching.Go(func() {
			select {
			case <-changed:
			case <-turn.Done():
			}
			end()
		})
		work(turn)
		watching.Wait()
		end()
	}
}
