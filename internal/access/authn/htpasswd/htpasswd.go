package htpasswd

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/expirable"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
)

// pollInterval is how often the file is looked at: a change counts within it.
const pollInterval = 2 * time.Second

// turnTime bounds how long a password waits to be compared: as many are at once as there are processors.
const turnTime = 10 * time.Second

// How much is remembered of what was found right, and for how long.
const (
	rememberedPasswords = 10_000
	rememberedFor       = 5 * time.Minute
)

// Way is authentication by a file. Safe for concurrent use. It implements authn.Passwords.
type Way struct {
	path  string
	log   *slog.Logger
	users atomic.Pointer[users]

	mu   sync.Mutex // of reading the file
	seen stamp
	bad  bool

	key     []byte // of this process
	right   *expirable.LRU[sum, struct{}]
	same    singleflight.Group
	hashing *semaphore.Weighted
}

type sum [sha256.Size]byte

// stamp is what is known of a file without reading it.
type stamp struct {
	info fs.FileInfo
	at   time.Time
	size int64
}

// Open reads a file. Errors: it cannot be read, or anything is wrong in it; they say nothing of hashes.
func Open(path string, log *slog.Logger) (*Way, error) {
	w := &Way{
		path: path, log: log, key: make([]byte, sha256.Size), hashing: semaphore.NewWeighted(int64(runtime.NumCPU())),
		right: expirable.NewLRU[sum, struct{}](rememberedPasswords, nil, rememberedFor),
	}
	_, _ = rand.Read(w.key) // never fails: crypto/rand
	w.mu.Lock()
	defer w.mu.Unlock()
	u, warnings, err := w.read()
	if err != nil {
		return nil, err
	}
	for _, text := range warnings {
		log.Warn("htpasswd", "path", path, "warning", text)
	}
	w.users.Store(u)
	return w, nil
}

// read reads the file. mu is held.
func (w *Way) read() (*users, []string, error) {
	f, err := os.Open(w.path)
	if err != nil {
		return nil, nil, fmt.Errorf("htpasswd: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("htpasswd: %w", err)
	}
	w.seen = stampOf(info)
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("htpasswd: %s is not a file", w.path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, nil, fmt.Errorf("htpasswd: read %s: %w", w.path, err)
	}
	u, warnings, err := parse(text)
	if err != nil {
		return nil, nil, fmt.Errorf("htpasswd: %s: %w", w.path, err)
	}
	if info.Mode().Perm()&0o004 != 0 {
		warnings = append(warnings, "everybody on this machine can read it: chmod o-r")
	}
	return u, warnings, nil
}

func stampOf(info fs.FileInfo) stamp { return stamp{info: info, at: info.ModTime(), size: info.Size()} }

func (s stamp) same(info fs.FileInfo) bool {
	return s.info != nil && os.SameFile(s.info, info) && s.at.Equal(info.ModTime()) && s.size == info.Size()
}

// Refresh looks whether the file is another, and reads it. A file that cannot be read, or with a mistake, changes nothing: its error is returned, and logged once.
func (w *Way) Refresh(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	info, err := os.Stat(w.path)
	if err == nil && w.seen.same(info) && !w.bad {
		return nil
	}
	if err == nil {
		var u *users
		var warnings []string
		if u, warnings, err = w.read(); err == nil {
			w.users.Store(u)
			w.log.InfoContext(ctx, "the password file was read again", "path", w.path, "users", len(u.names), "warnings", warnings)
			w.bad = false
			return nil
		}
	}
	if !w.bad {
		w.log.ErrorContext(ctx, "the password file is refused; the one before stays in force", "path", w.path, "err", err)
	}
	w.bad = true
	return err
}

// Watch follows the file until ctx ends. report, if not nil, is told after each look whether the file is good.
func (w *Way) Watch(ctx context.Context, report func(good bool)) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			err := w.Refresh(ctx)
			if report != nil {
				report(err == nil)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Check implements authn.Passwords. A name that is not in the file costs what one of the file costs, which is always the same one for the same name.
func (w *Way) Check(ctx context.Context, name, password string) (access.Identity, error) {
	if id, ok := w.Known(name, password); ok {
		return id, nil
	}
	h, known := w.hashOf(name)
	key := w.sum(name, password, h.text)
	// A client sends many requests at once with the same password: they share one comparison.
	right, err, _ := w.same.Do(string(key[:]), func() (any, error) {
		turn, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnTime)
		defer cancel()
		if err := w.hashing.Acquire(turn, 1); err != nil {
			return false, fmt.Errorf("htpasswd: wait to compare a password: %w", err)
		}
		defer w.hashing.Release(1)
		return h.matches(password) && known, nil
	})
	switch {
	case err != nil:
		return access.Identity{}, err
	case !known:
		return access.Identity{}, authn.ErrOther
	case !right.(bool):
		return access.Identity{}, authn.ErrWrong
	}
	w.right.Add(key, struct{}{})
	return access.Identity{Name: name, Way: access.Htpasswd}, nil
}

// Known is Check for a password that was found right a short while ago and still is: without hashing.
func (w *Way) Known(name, password string) (access.Identity, bool) {
	h, known := w.users.Load().hashes[name]
	if !known || !w.right.Contains(w.sum(name, password, h.text)) {
		return access.Identity{}, false
	}
	return access.Identity{Name: name, Way: access.Htpasswd}, true
}

// Fingerprint tells a user's present password from another of his, "" where there is no such user.
// It is the same at every replica that has the same file.
func (w *Way) Fingerprint(name string) string {
	h, known := w.users.Load().hashes[name]
	if !known {
		return ""
	}
	mac := sha256.Sum256([]byte("holdfast htpasswd\x00" + name + "\x00" + h.text))
	return hex.EncodeToString(mac[:12])
}

// hashOf is the hash of a name, or that of another one.
func (w *Way) hashOf(name string) (h hash, known bool) {
	u := w.users.Load()
	if h, known = u.hashes[name]; known {
		return h, true
	}
	if len(u.names) == 0 {
		return hash{}, false // nobody is known, and that is no secret
	}
	s := w.sum("another", name, "")
	return u.hashes[u.names[binary.BigEndian.Uint64(s[:8])%uint64(len(u.names))]], false
}

func (w *Way) sum(fields ...string) sum {
	mac := hmac.New(sha256.New, w.key)
	for _, field := range fields {
		_ = binary.Write(mac, binary.BigEndian, uint64(len(field)))
		_, _ = io.WriteString(mac, field)
	}
	return sum(mac.Sum(nil))
}
