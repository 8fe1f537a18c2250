package redis

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"holdfast/internal/record/cached"
	"holdfast/internal/record/cached/outlive"
)

const (
	callLimit   = time.Second // a server that is slower than that is frozen: its connection is given up
	mostCalls   = 512
	bufferBytes = 64 << 10 // for each direction of a connection
	firstDelay  = time.Second
	lastDelay   = 30 * time.Second
)

// ErrNotConnected is of calls before the first connection.
var ErrNotConnected = errors.New("not connected yet")

// Cache is a cached.Cache in Redis. Safe for concurrent use.
type Cache struct {
	cfg    Config
	prefix string
	log    *slog.Logger
	calls  *outlive.Calls
	client atomic.Pointer[connected]
	close  sync.Once
}

var _ cached.Cache = (*Cache)(nil)

type connected struct {
	rueidis.Client
	add *rueidis.Lua
}

// Open returns a cache that connects in the background, as often as it takes. Errors: those of Config.Validate alone.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Cache, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Cache{cfg: cfg, prefix: cmp.Or(cfg.Prefix, DefaultPrefix) + ":hf:", log: log, calls: outlive.New(ctx, callLimit, mostCalls)}
	c.calls.Go(c.connect)
	return c, nil
}

// connect tries until there is a client, which then connects anew by itself whenever it must.
func (c *Cache) connect(ctx context.Context) {
	dialer := &dialer{cfg: c.cfg, ctx: ctx, not: map[string]time.Time{}}
	for delay, warned := firstDelay, false; ; delay = min(2*delay, lastDelay) {
		client, err := rueidis.NewClient(c.options(dialer))
		if err == nil {
			c.client.Store(&connected{Client: client, add: rueidis.NewLuaScript(addScript)})
			c.log.InfoContext(ctx, "the shared cache answers", "driver", "redis", "addresses", c.cfg.Addresses)
			return
		}
		if ctx.Err() != nil {
			return
		}
		if !warned { // once: it is a cache
			c.log.WarnContext(ctx, "the shared cache does not answer: serving without it, trying on", "driver", "redis", "addresses", c.cfg.Addresses, "err", err)
			warned = true
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func (c *Cache) options(d *dialer) rueidis.ClientOption {
	name, addresses := cmp.Or(c.cfg.ClientName, "holdfast"), c.cfg.Addresses
	if c.cfg.Master != "" {
		addresses = addresses[:1] // one server, wherever it is (dialer.primary)
	}
	return rueidis.ClientOption{
		InitAddress: addresses, ForceSingleClient: c.cfg.Master != "",
		Username: c.cfg.Username, Password: c.cfg.Password, ClientName: name, SelectDB: c.cfg.DB,
		DialCtxFn: d.dial,
		// A connection without an answer for as long is given up; an idle one is asked as often.
		Dialer: net.Dialer{Timeout: dialTimeout, KeepAlive: callLimit}, ConnWriteTimeout: callLimit,
		ReadBufferEachConn: bufferBytes, WriteBufferEachConn: bufferBytes,
		ClusterOption: rueidis.ClusterOption{MaxMovedRedirections: 3},
		ShuffleInit:   true,
		DisableRetry:  true, // a miss is as good
		DisableCache:  true, // doc.go
		AlwaysRESP2:   c.cfg.RESP2,
		ClientSetInfo: rueidis.DisableClientSetInfo,
	}
}

// do makes a call that goes on when ctx has ended. f may keep nothing of the caller's.
func do[T any](ctx context.Context, c *Cache, verb string, f func(context.Context, *connected) (T, error)) (T, error) {
	client := c.client.Load()
	if client == nil {
		var none T
		return none, fmt.Errorf("redis: %s: %w", verb, ErrNotConnected)
	}
	v, err := outlive.Do(ctx, c.calls, func(ctx context.Context) (T, error) { return f(ctx, client) })
	if err != nil {
		return v, fmt.Errorf("redis: %s: %w", verb, err)
	}
	return v, nil
}

// Get asks for all keys in one round trip to each server that has some. What is under our key and is no string is no value.
func (c *Cache) Get(ctx context.Context, keys []string) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	full := c.full(keys)
	return do(ctx, c, "get", func(ctx context.Context, client *connected) ([][]byte, error) {
		all := make([]rueidis.Completed, len(full))
		for i, key := range full {
			all[i] = client.B().Get().Key(key).Build()
		}
		values := make([][]byte, len(full))
		for i, answer := range client.DoMulti(ctx, all...) {
			value, err := answer.AsBytes()
			switch {
			case err == nil && len(value) > 0:
				values[i] = value
			case err == nil || rueidis.IsRedisNil(err) || wrongType(err):
			default:
				return nil, err
			}
		}
		return values, nil
	})
}

// wrongType reports whether somebody else put something under our key.
func wrongType(err error) bool {
	answer, is := rueidis.IsRedisErr(err)
	return is && len(answer.Error()) >= 9 && answer.Error()[:9] == "WRONGTYPE"
}

// Set writes in one round trip, and over whatever is there.
func (c *Cache) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	value = bytes.Clone(value)
	_, err := do(ctx, c, "set", func(ctx context.Context, client *connected) (struct{}, error) {
		return struct{}{}, client.Do(ctx, client.B().Set().Key(c.prefix+key).Value(rueidis.BinaryString(value)).Px(ttl).Build()).Error()
	})
	return err
}

// Delete removes the keys, each on its own: in a cluster they are anywhere.
func (c *Cache) Delete(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	full := c.full(keys)
	_, err := do(ctx, c, "delete", func(ctx context.Context, client *connected) (struct{}, error) {
		all := make([]rueidis.Completed, len(full))
		for i, key := range full {
			all[i] = client.B().Del().Key(key).Build()
		}
		var errs []error
		for _, answer := range client.DoMulti(ctx, all...) {
			errs = append(errs, answer.Error())
		}
		return struct{}{}, errors.Join(errs...)
	})
	return err
}

// addScript is one step for the server: a counter without an end, should there be one, gets one.
const addScript = `local n = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return n`

// Add is one round trip, but for the first on each server.
func (c *Cache) Add(ctx context.Context, key string, n int64, ttl time.Duration) (int64, error) {
	return do(ctx, c, "add", func(ctx context.Context, client *connected) (int64, error) {
		return client.add.Exec(ctx, client, []string{c.prefix + key}, []string{strconv.FormatInt(n, 10), strconv.FormatInt(ttl.Milliseconds(), 10)}).AsInt64()
	})
}

func (c *Cache) full(keys []string) []string {
	full := make([]string, len(keys))
	for i, key := range keys {
		full[i] = c.prefix + key
	}
	return full
}

// Close ends calls that are under way, and all connections.
func (c *Cache) Close() error {
	c.close.Do(func() {
		c.calls.Close()
		if client := c.client.Load(); client != nil {
			client.Close()
		}
	})
	return nil
}
