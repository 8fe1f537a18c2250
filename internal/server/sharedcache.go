package server

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/record/cached"
	"holdfast/internal/record/cached/dynamodb"
	"holdfast/internal/record/cached/redis"
)

// Cache is what a store over S3 remembers, in memory and where replicas share it. At most one of Redis and DynamoDB is set.
type Cache struct {
	Redis    *redis.Config
	DynamoDB *dynamodb.Config
	Budget   time.Duration // how long a request waits for the shared cache, at most; 0: cached.DefaultBudget
	Memory   int64         // bytes, about; 0: cached's default; less: nothing is remembered, nor shared
}

// open returns the cache that replicas share, or nil where there is none. It connects in the background: what is wrong with the server is a warning.
// Errors: ErrRefused, for a configuration that cannot be.
func (c Cache) open(ctx context.Context, log *slog.Logger) (cached.Cache, error) {
	switch {
	case c.Redis != nil:
		shared, err := redis.Open(ctx, *c.Redis, log)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return shared, nil
	case c.DynamoDB != nil:
		shared, err := dynamodb.Open(ctx, *c.DynamoDB, log)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return shared, nil
	}
	return nil, nil
}

func cacheFrom(c config.Cache) Cache {
	out := Cache{Budget: c.Budget, Memory: c.Memory}
	if c.Memory == 0 { // it was said: the default is another
		out.Memory = -1
	}
	switch c.Driver {
	case config.CacheRedis:
		r := c.Redis
		out.Redis = &redis.Config{
			Addresses: r.Addresses, Master: r.Master, Username: r.Username, Password: string(r.Password),
			SentinelUsername: r.SentinelUsername, SentinelPassword: string(r.SentinelPassword), ClientName: r.ClientName, DB: r.DB, RESP2: r.Protocol == 2,
			Prefix: r.Prefix, TLS: r.TLS, CAFile: r.CACert, CertFile: r.Cert, KeyFile: r.Key, SkipVerify: r.SkipVerify,
		}
	case config.CacheDynamoDB:
		out.DynamoDB = &dynamodb.Config{Endpoint: c.Dynamo.Endpoint, Region: c.Dynamo.Region, Table: c.Dynamo.Table}
	}
	return out
}
