package site

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	"holdfast/test/cache"
	"holdfast/test/cluster"
)

// Memory is what a replica of Holdfast remembers of links and fences (docs/caching.md).
type Memory string

// The memories. Of the named ones the subject counts what it asks of its cache (SharedCalls).
const (
	Default    Memory = ""         // its own, as its defaults are
	Nothing    Memory = "none"     // no links at all
	Own        Memory = "memory"   // its own
	InRedis    Memory = "redis"    // its own, and what all share in a Redis
	InDynamoDB Memory = "dynamodb" // its own, and what all share in a table of DynamoDB
)

// cacheBudget is how long a request waits for the shared cache. More than the default: on a machine that does all at once, a server of one thread
// answers late now and then, and whoever is late three times is left alone for seconds, in which nothing would be measured.
const cacheBudget = "50ms"

// sharedCache starts the server that m needs, once for all subjects, and returns what a configuration says of it: nil where m needs none.
func (s *Site) sharedCache(ctx context.Context, m Memory) (driver map[string]any, err error) {
	switch m {
	case InRedis:
		if s.redis == nil {
			started, err := cache.StartRedis(ctx, filepath.Join(s.dir, "redis"), "maxmemory 256mb", "maxmemory-policy allkeys-lru")
			if err != nil {
				return nil, fmt.Errorf("site: start Redis: %w", err)
			}
			s.redis = started
		}
		return map[string]any{"name": "redis", "url": "redis://" + s.redis.Address, "keyprefix": "zot"}, nil
	case InDynamoDB:
		if s.dynamodb == nil {
			started, err := cache.StartDynamoDB(ctx, 0)
			if err != nil {
				return nil, fmt.Errorf("site: start DynamoDB: %w", err)
			}
			s.dynamodb = started
		}
		return map[string]any{"name": "dynamodb", "endpoint": s.dynamodb.URL, "region": cluster.Region, "cacheTablename": "ZotBlobTable"}, nil
	}
	return nil, nil
}

func (s *Site) endCaches() {
	if s.redis != nil {
		s.redis.Kill()
	}
	if s.dynamodb != nil {
		s.dynamodb.Kill()
	}
	s.redis, s.dynamodb = nil, nil
}

// remember adds to zot's file what the subject remembers.
func (s *Subject) remember(file map[string]any) {
	if s.Remember == Default {
		return
	}
	storage := file["storage"].(map[string]any)
	storage["gc"] = false // a pass after each start would be counted among the few operations of a cold row
	if s.Remember == Nothing {
		storage["cacheMemory"] = 0
	}
	if s.shared != nil {
		storage["cacheDriver"], storage["cacheBudget"] = s.shared, cacheBudget
	}
	file["extensions"] = map[string]any{"metrics": map[string]any{"enable": true}}
}

// environment is what the subject's processes need besides ours: the SDK looks there for the credentials of the table.
func (s *Subject) environment() []string {
	if s.Remember != InDynamoDB {
		return nil
	}
	return []string{"AWS_ACCESS_KEY_ID=" + cluster.AccessKey, "AWS_SECRET_ACCESS_KEY=" + cluster.SecretKey}
}

// SharedCalls are calls of the cache that replicas share.
type SharedCalls struct {
	Asked float64 // reads that were answered
	Given float64 // writes that were answered
	Late  float64 // both, that failed, were not answered in time, were dropped or not made
	Found float64 // reads that found what verified
}

// Plus adds.
func (c SharedCalls) Plus(d SharedCalls) SharedCalls {
	return SharedCalls{c.Asked + d.Asked, c.Given + d.Given, c.Late + d.Late, c.Found + d.Found}
}

// Since is what came after before.
func (c SharedCalls) Since(before SharedCalls) SharedCalls {
	return SharedCalls{c.Asked - before.Asked, c.Given - before.Given, c.Late - before.Late, c.Found - before.Found}
}

// SharedCalls asks the subject's first process what it asked of the shared cache since its start; zero where it has none.
func (s *Subject) SharedCalls(ctx context.Context) (all SharedCalls, err error) {
	if s.shared == nil {
		return all, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address(0)+"/metrics", http.NoBody)
	if err != nil {
		return all, fmt.Errorf("site: read metrics: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return all, fmt.Errorf("site: read metrics: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	if resp.StatusCode != http.StatusOK {
		return all, fmt.Errorf("site: read metrics: %s", resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		series, text, found := strings.Cut(lines.Text(), "} ")
		name, labels, _ := strings.Cut(series, "{")
		if !found {
			continue
		}
		has := func(label string) bool { return strings.Contains(labels, label) }
		var to *float64
		switch {
		case name == "holdfast_shared_cache_calls_total" && !has(`outcome="ok"`), name == "holdfast_shared_cache_dropped_total", name == "holdfast_shared_cache_not_asked_total":
			to = &all.Late
		case name == "holdfast_shared_cache_calls_total" && has(`operation="get"`):
			to = &all.Asked
		case name == "holdfast_shared_cache_calls_total":
			to = &all.Given
		case name == "holdfast_cache_lookups_total" && has(`cache="shared"`) && has(`result="hit"`):
			to = &all.Found
		default:
			continue
		}
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return all, fmt.Errorf("site: read metrics: %s: %w", name, err)
		}
		*to += n
	}
	if err := lines.Err(); err != nil {
		return all, fmt.Errorf("site: read metrics: %w", err)
	}
	return all, nil
}
