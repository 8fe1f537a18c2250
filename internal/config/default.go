package config

import (
	"log/slog"
	"time"
)

const (
	// DefaultDirectory is where Default keeps everything.
	DefaultDirectory = "./holdfast-data"

	spokenVersion   = "1.1.1" // of the distribution-spec
	minMemoryBudget = 16 << 20
	// usualMemoryBudget is what a budget that nobody configured is without a limit of memory.
	usualMemoryBudget = 128 << 20
)

// Default is the configuration without a file: a local store in DefaultDirectory, which the caller may
// change, behind 127.0.0.1:8080.
func Default() *Config {
	c := &Config{
		Storage: Storage{Store: defaultStore()},
		HTTP: HTTP{
			Address:      "127.0.0.1",
			Port:         8080,
			ReadTimeout:  time.Minute,
			WriteTimeout: time.Minute,
			DrainDelay:   5 * time.Second,
			DrainTimeout: time.Minute,
			Limits:       Limits{MinBodyRate: defaultMinBodyRate},
		},
		Log:   Log{Level: slog.LevelInfo},
		Scrub: Scrub{Interval: defaultScrubInterval},

		Metrics: Metrics{Path: defaultMetricsPath},
	}
	c.Storage.RootDirectory = DefaultDirectory
	c.Storage.S3 = S3{}
	c.Storage.GC.Enabled = true
	return c
}

// beforeFile is what holds where a file says nothing.
func beforeFile() *Config {
	c := Default()
	c.Storage.Store = defaultStore()
	c.Storage.GC.Enabled = true
	c.HTTP.Auth.Bearer = new(Bearer) // until finish has looked whether there is one
	return c
}

// defaultStore is a store of which a file says nothing yet.
func defaultStore() Store {
	const delay = 24 * time.Hour
	return Store{
		Driver:        DriverLocal,
		S3:            S3{Secure: true},
		Commit:        true,
		DeleteEnabled: true,
		GC:            GC{Delay: delay, Interval: time.Hour, RequestsPerSecond: 200},
		Retention:     Retention{Delay: delay},
		Cache:         Cache{Budget: defaultCacheBudget, Memory: defaultCacheMemory},
	}
}
