package server

import (
	"cmp"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/edge"
	"holdfast/internal/edge/certs"
	"holdfast/internal/format"
	"holdfast/internal/s3"
)

// FromConfig maps what the file says to what a server needs.
func FromConfig(c *config.Config, version string) Config {
	out := Config{
		Version:      version,
		Storage:      storage(c.Storage.Store),
		SubPaths:     map[string]Storage{},
		MemoryBudget: c.Storage.MemoryBudget,
		Address:      c.HTTP.Addr(),
		Progress:     progress(c.HTTP),
		DrainDelay:   c.HTTP.DrainDelay,
		DrainTimeout: c.HTTP.DrainTimeout,
		NoDelete:     !c.Storage.DeleteEnabled,
		Observe:      Observe{AdminAddress: c.HTTP.AdminAddress, Requests: c.Log.Requests, Audit: c.Log.Audit, Traces: c.Tracing.Endpoint},
		Auth:         c.HTTP.Auth,
		Rules:        c.HTTP.AccessRules(),
		Edge:         edgeFrom(c.HTTP),
		Scrub:        Scrub{Enabled: c.Scrub.Enabled, Interval: c.Scrub.Interval},
	}
	if c.Metrics.Enabled {
		out.MetricsPath = c.Metrics.Path
	}
	for path, sub := range c.Storage.SubPaths {
		out.SubPaths[path] = storage(sub)
	}
	return out
}

func edgeFrom(h config.HTTP) Edge {
	out := Edge{
		TLS: certs.Files{Cert: h.TLS.Cert, Key: h.TLS.Key, CA: h.TLS.CACert},
		H2C: h.Proxy.H2C, Trusted: h.Proxy.Trusted, ProxyProtocol: h.Proxy.Protocol, ExternalURL: h.Proxy.ExternalURL, AllowOrigin: h.Proxy.AllowOrigin,
		Rates:             edge.Rates{All: h.Limits.Rate, Methods: map[string]int{}},
		ClientConcurrency: h.Limits.ClientConcurrency,
		MaxUploads:        h.Limits.MaxUploads,
		MaxRequests:       h.Limits.MaxRequests,
		MinBodyRate:       h.Limits.MinBodyRate,
	}
	for _, m := range h.Limits.MethodRates {
		out.Rates.Methods[m.Method] = m.Rate
	}
	return out
}

// progress is the longer of the two time-outs: what zot bounds as a whole, we bound between two bytes.
func progress(h config.HTTP) time.Duration {
	if h.ReadTimeout == 0 || h.WriteTimeout == 0 {
		return 0
	}
	return max(h.ReadTimeout, h.WriteTimeout)
}

// ages are the protocol's, with the grace that the file chooses: all replicas of a store must have the same.
func ages(grace time.Duration) format.Ages {
	a := format.DefaultAges()
	a.Grace = grace
	return a
}

func storage(c config.Store) Storage {
	out := Storage{
		Dir:           c.RootDirectory,
		NoSync:        !c.Commit,
		Redirect:      c.Redirect,
		RedirectRules: redirectRules(c.RedirectRules),
		IgnoreForeign: c.IgnoreForeign,
		MaxBlobBytes:  c.MaxBlobSize,
		BlobCache:     BlobCache{Dir: c.BlobCache.Dir, MaxBytes: c.BlobCache.MaxBytes},
		Limits:        limits(c),
		Cache:         cacheFrom(c.Cache),
		Ages:          ages(c.GC.Delay),
		Collect: Collection{
			Enabled:           c.GC.Enabled,
			Interval:          c.GC.Interval,
			Window:            c.GC.Window.Contains,
			RequestsPerSecond: c.GC.RequestsPerSecond,
			Delay:             c.Retention.Delay,
			Policies:          c.Retention.Policies,
			KeepTags:          c.Retention.DryRun,
		},
	}
	if c.Driver != config.DriverS3 {
		return out
	}
	out.S3 = &s3.Config{
		Endpoint:       c.S3.RegionEndpoint,
		Region:         c.S3.Region,
		Bucket:         c.S3.Bucket,
		RootDirectory:  c.S3.RootDirectory,
		AccessKey:      string(c.S3.AccessKey),
		SecretKey:      s3.Secret(c.S3.SecretKey),
		SessionToken:   s3.Secret(c.S3.SessionToken),
		ForcePathStyle: c.S3.ForcePathStyle,
		Insecure:       !c.S3.Secure,
		SkipVerify:     c.S3.SkipVerify,
		PartSize:       c.S3.ChunkSize,
		UserAgent:      cmp.Or(c.S3.UserAgent, "holdfast"),
		StorageClass:   c.S3.StorageClass,
		Encrypt:        c.S3.Encrypt,
		KeyID:          c.S3.KeyID,
		UseDualstack:   c.S3.UseDualstack,
		Accelerate:     c.S3.Accelerate,
		UseFIPS:        c.S3.UseFIPSEndpoint,
	}
	return out
}
