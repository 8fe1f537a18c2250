package certs

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Keeper has the certificate that is in use. Safe for concurrent use.
type Keeper struct {
	now func() time.Time
	log *slog.Logger

	current atomic.Pointer[served]

	mu    sync.Mutex // one look at the files at a time
	files Files
	inUse read
	wrong string // what was wrong at the last look; "" for nothing
	told  string // of it, what was told

	taken, refused atomic.Int64
	failed         atomic.Bool
}

// served is a pair with what TLS is spoken by.
type served struct {
	pair   pair
	config *tls.Config
}

// Open reads the files. now is the process's clock, by which clients will judge too. Errors: everything that is wrong with them.
func Open(ctx context.Context, files Files, now func() time.Time, log *slog.Logger) (*Keeper, error) {
	k := &Keeper{now: now, log: log, files: files}
	r, err := files.read()
	if err != nil {
		return nil, err
	}
	p, warnings, err := files.check(r, now())
	if err != nil {
		return nil, err
	}
	k.use(ctx, r, p, warnings)
	return k, nil
}

// Check is Open for one who only wants to know: warnings are what an operator should look at.
func Check(files Files, now time.Time) (warnings []string, err error) {
	r, err := files.read()
	if err != nil {
		return nil, err
	}
	_, warnings, err = files.check(r, now)
	return warnings, err
}

func (k *Keeper) use(ctx context.Context, r read, p pair, warnings []string) {
	for _, text := range warnings {
		k.log.WarnContext(ctx, "a file of TLS needs a look", "warning", text)
	}
	k.inUse = r
	k.current.Store(&served{pair: p, config: serverConfig(p)})
}

// serverConfig is TLS as it is spoken with new connections.
func serverConfig(p pair) *tls.Config {
	c := &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Of TLS 1.2, which clients before 2019 need; those of 1.3 are all good. Without CBC, RSA for the key, and anything older.
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos:   []string{"h2", "http/1.1"},
		Certificates: []tls.Certificate{p.cert},
	}
	if p.ca != nil {
		c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, p.ca
		c.SessionTicketsDisabled = true // a session must not outlive the authority that its client was believed by
	}
	return c
}

// Config is for a server: each new connection gets what is in use then. Those that are open go on.
func (k *Keeper) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return k.current.Load().config, nil },
	}
}

// Expires is the end of the certificate that is in use.
func (k *Keeper) Expires() time.Time { return k.current.Load().pair.leaf.NotAfter }

// Asks reports whether clients are asked for a certificate.
func (k *Keeper) Asks() bool { return k.current.Load().pair.ca != nil }

// Counts is how many new files were taken and refused, and whether the last ones were refused.
func (k *Keeper) Counts() (taken, refused int64, failed bool) {
	return k.taken.Load(), k.refused.Load(), k.failed.Load()
}

// Turn goes by the files at other paths, or looks at the same at once. Where they are not good, what is in use stays, and the error, which is logged here, says why; Watch looks at
// them again.
func (k *Keeper) Turn(ctx context.Context, files Files) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.files = files
	return k.look(ctx, true)
}

// Watch looks at the files every so often until ctx ends. It reads what is in them, so that a link that is turned to another folder shows. What is wrong is told at
// the second look: who replaces two files does it one after the other.
func (k *Keeper) Watch(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			k.mu.Lock()
			_ = k.look(ctx, false) // it is logged
			k.mu.Unlock()
		}
	}
}

// look takes what the files hold, if that is new and good. k.mu is held.
func (k *Keeper) look(ctx context.Context, atOnce bool) error {
	r, err := k.files.read()
	if err == nil && r.same(k.inUse) {
		k.well()
		return nil
	}
	var p pair
	var warnings []string
	if err == nil {
		p, warnings, err = k.files.check(r, k.now())
	}
	if err == nil {
		k.use(ctx, r, p, warnings)
		k.well()
		k.taken.Add(1)
		k.log.InfoContext(ctx, "the files of TLS were read again: new connections get them", "cert", k.files.Cert, "expires", p.leaf.NotAfter)
		return nil
	}
	before := k.wrong
	k.wrong = err.Error()
	if atOnce || k.wrong == before && k.wrong != k.told {
		k.told = k.wrong
		k.refused.Add(1)
		k.failed.Store(true)
		k.log.ErrorContext(ctx, "new files of TLS are refused; those before stay in use", "expires", k.Expires(), "err", err)
	}
	return err
}

// well forgets what was wrong.
func (k *Keeper) well() {
	k.wrong, k.told = "", ""
	k.failed.Store(false)
}
