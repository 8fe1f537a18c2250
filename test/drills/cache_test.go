package drills

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/redis/rueidis"

	"holdfast/test/cache"
	"holdfast/test/cluster"
)

// shared is what a drill does to the cache of the replicas, from outside.
type shared interface {
	size(context.Context) (int, error) // values in it
	wipe(context.Context) error
	// spoil puts something else under each key: bytes of nobody's, the value of another key, one that the key had earlier, or nothing.
	spoil(context.Context, *mathrand.Rand) error
	close()
}

// caches runs a drill with each cache.
func caches(t *testing.T, drill func(t *testing.T, kind string)) {
	for _, kind := range []string{cluster.Redis, cluster.DynamoDB} {
		t.Run(kind, func(t *testing.T) { drill(t, kind) })
	}
}

// plain is the replica, the last one, that has no cache: what its calls take is what others' calls are compared with, in the same moments over the same bucket.
const plain = "replica-3"

// withCache has a drill's replicas share a cache, but for one, and looks that they use it: else nothing would be proven.
func withCache(t *testing.T, kind string, d drill, vandal func(ctx context.Context, s shared, r *run) error) *run {
	t.Helper()
	front := d.front
	var store any
	d.direct = true
	d.cluster = func(o *cluster.Options) {
		o.Cache, o.CacheFront, o.Front = kind, front, forAll(o.Front)
		edit := o.Edit
		o.Edit = func(cfg map[string]any) {
			edit(cfg)
			storage := cfg["storage"].(map[string]any)
			if at := storage["storageDriver"].(map[string]any)["regionendpoint"]; store == nil {
				store = at
			} else if store != at {
				t.Fatalf("replicas that find the store at %s and at %s share nothing", store, at)
			}
			storage["cacheMemory"] = "16KiB" // so that the shared one is asked
			if strings.HasSuffix(storage["rootDirectory"].(string), "/"+plain) {
				storage["cacheMemory"] = 0
				delete(storage, "cacheDriver")
			}
			if d.patient {
				storage["cacheBudget"] = "250ms"
			}
			cfg["extensions"] = map[string]any{"metrics": map[string]any{"enable": true}}
		}
	}
	var s shared
	ending, end := context.WithCancel(t.Context())
	var work sync.WaitGroup
	var failed error
	inject := d.inject
	d.inject = func(r *run) {
		s = r.shared(kind)
		r.used(s)
		if vandal != nil {
			work.Go(func() { failed = vandal(ending, s, r) })
		}
		if inject != nil {
			inject(r)
		}
	}
	heal := d.heal
	d.heal = func(r *run) {
		end()
		work.Wait()
		r.must(failed)
		if heal != nil {
			heal(r)
		}
		r.used(s) // again, by itself, as long as there is work
	}
	d.after = func(r *run) {
		defer s.close()
		r.result.Note["shared"] = r.counted()
		with, without := r.p99(true), r.p99(false)
		r.result.Note["p99"], r.result.Note["p99_without"] = with.String(), without.String()
		if r.size.full && with-without > 50*time.Millisecond {
			r.Errorf("the 99th of 100 calls took %s, and %s at the replica that has no cache", with, without)
		}
	}
	return perform(t, d)
}

// forAll gives all replicas the first one's way to the store: what they see in a cache is only for those who name the store alike.
func forAll(front func(int, string) (string, error)) func(int, string) (string, error) {
	var url string
	return func(n int, s3 string) (_ string, err error) {
		if url == "" {
			url, err = front(n, s3)
		}
		return url, err
	}
}

// p99 is how long the 99th of 100 calls took while the fault lasted, at the replicas that share the cache or at the one that does not.
func (r *run) p99(sharing bool) time.Duration {
	var took []time.Duration
	for _, c := range r.load.History.Calls() {
		if c.Faulty && (c.Target != r.cluster.Replicas[len(r.cluster.Replicas)-1]) == sharing {
			took = append(took, time.Duration(c.Ret-c.Call))
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// counted is what the replicas say of the shared cache together, by the names of their metrics.
func (r *run) counted() map[string]float64 {
	r.Helper()
	all := map[string]float64{}
	for _, replica := range r.cluster.Replicas {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, replica+"/metrics", http.NoBody)
		r.must(err)
		resp, err := http.DefaultClient.Do(req)
		r.must(err)
		text, err := io.ReadAll(resp.Body)
		r.must(errors.Join(err, resp.Body.Close()))
		for line := range strings.Lines(string(text)) {
			name, value, found := strings.Cut(strings.TrimSpace(line), "} ")
			n, err := strconv.ParseFloat(value, 64)
			if found && err == nil && n > 0 && strings.HasPrefix(name, "holdfast_shared_cache_") {
				all[strings.TrimPrefix(name, "holdfast_shared_cache_")+"}"] += n
			}
		}
	}
	return all
}

// used waits until there is something in the cache.
func (r *run) used(s shared) {
	r.Helper()
	for end := time.Now().Add(20 * time.Second); ; r.sleep(50 * time.Millisecond) {
		n, err := s.size(r.Context())
		if n > 0 {
			return
		}
		if time.Now().After(end) {
			r.Fatalf("inconclusive: there is nothing in the cache (%v)", err)
		}
	}
}

// TestD26Wiped: the cache is wiped again and again.
func TestD26Wiped(t *testing.T) {
	caches(t, func(t *testing.T, kind string) {
		size := sizeOf(t)
		withCache(t, kind, drill{id: "D26-" + kind, hold: pick(size, 4*time.Second, 5*time.Minute), load: busy}, func(ctx context.Context, s shared, r *run) error {
			return every(ctx, pick(size, 300*time.Millisecond, time.Second), s.wipe)
		})
	})
}

// TestD27Gone: the cache is gone, hangs, or is slow.
func TestD27Gone(t *testing.T) {
	caches(t, func(t *testing.T, kind string) {
		size := sizeOf(t)
		hold, long := pick(size, 4*time.Second, time.Minute), pick(size, 4*time.Second, 5*time.Minute)
		t.Run("Killed", func(t *testing.T) {
			withCache(t, kind, drill{
				id: "D27-killed-" + kind, hold: hold, load: busy,
				inject: func(r *run) { r.must(r.cluster.SignalCache(syscall.SIGKILL)) },
				heal:   func(r *run) { r.must(r.cluster.RestartCache(r.Context())) },
			}, nil)
		})
		t.Run("Frozen", func(t *testing.T) {
			withCache(t, kind, drill{
				id: "D27-frozen-" + kind, hold: long, load: busy,
				inject: func(r *run) { r.must(r.cluster.SignalCache(syscall.SIGSTOP)) },
				heal:   func(r *run) { r.must(r.cluster.SignalCache(syscall.SIGCONT)) },
			}, nil)
		})
		t.Run("Slow", func(t *testing.T) { // and then again as it was
			var relay *cache.Relay
			withCacheBehind(t, kind, &relay, drill{
				id: "D27-slow-" + kind, hold: long, load: busy,
				inject: func(*run) { relay.Delay(5 * time.Second) },
				heal:   func(*run) { relay.Delay(0) },
			})
		})
	})
}

// TestD28Lying: what is in the cache is anything but what the replicas put there: the store wins.
func TestD28Lying(t *testing.T) {
	caches(t, func(t *testing.T, kind string) {
		size := sizeOf(t)
		r := withCache(t, kind, drill{id: "D28-" + kind, patient: true, hold: pick(size, 4*time.Second, 5*time.Minute), load: busy}, func(ctx context.Context, s shared, r *run) error {
			random := mathrand.New(mathrand.NewPCG(r.seed, 28))
			return every(ctx, 50*time.Millisecond, func(ctx context.Context) error { return s.spoil(ctx, random) })
		})
		refused := 0.0
		for name, n := range r.counted() {
			if strings.HasPrefix(name, "refused_total") {
				refused += n
			}
		}
		if refused == 0 && size.full { // replicas ask seldom for what they do not remember themselves
			r.Error("inconclusive: nobody read a lie")
		}
	})
}

// every does something until ctx ends, and returns the first error. What is begun is done: dynalite ends itself when a client leaves in the middle of a request.
func every(ctx context.Context, d time.Duration, do func(context.Context) error) error {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := do(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
}

// withCacheBehind is withCache, with a relay that may be slow before the cache.
func withCacheBehind(t *testing.T, kind string, relay **cache.Relay, d drill) {
	t.Helper()
	d.front = func(address string) (string, error) {
		var err error
		if *relay, err = cache.NewRelay(t.Context(), address); err != nil {
			return "", err
		}
		return (*relay).Address, nil
	}
	withCache(t, kind, d, nil)
	if err := (*relay).Close(); err != nil {
		t.Error(err)
	}
}

func (r *run) shared(kind string) shared {
	if kind == cluster.Redis {
		client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{r.cluster.Cache}, DisableCache: true})
		r.must(err)
		return &redisCache{client: client, once: map[string][]byte{}}
	}
	return &tableCache{once: map[string][]byte{}, sdk: dynamodb.New(dynamodb.Options{
		BaseEndpoint: aws.String("http://" + r.cluster.Cache), Region: cluster.Region, Credentials: credentials.NewStaticCredentialsProvider(cluster.AccessKey, cluster.SecretKey, ""),
	})}
}

// lie chooses what is put under a key instead of its value; nil: it is removed. once has a value that each key had earlier.
func lie(random *mathrand.Rand, key string, value []byte, others [][]byte, once map[string][]byte) []byte {
	before := once[key]
	if before == nil || random.IntN(8) == 0 {
		once[key] = value
	}
	switch random.IntN(6) {
	case 0:
		return before
	case 1:
		return others[random.IntN(len(others))]
	case 2:
		bytes := make([]byte, 1+random.IntN(2*len(value)))
		_, _ = rand.Read(bytes) // has no errors
		return bytes
	case 3:
		return value[:random.IntN(len(value))]
	case 4:
		bytes := slices.Clone(value)
		bytes[random.IntN(len(bytes))] ^= 1 << random.IntN(8)
		return bytes
	default:
		return value
	}
}

type redisCache struct {
	client rueidis.Client
	once   map[string][]byte
}

func (c *redisCache) close() { c.client.Close() }

func (c *redisCache) size(ctx context.Context) (int, error) {
	n, err := c.client.Do(ctx, c.client.B().Dbsize().Build()).AsInt64()
	return int(n), err
}

func (c *redisCache) wipe(ctx context.Context) error {
	return c.client.Do(ctx, c.client.B().Flushall().Build()).Error()
}

func (c *redisCache) spoil(ctx context.Context, random *mathrand.Rand) error {
	keys, err := c.client.Do(ctx, c.client.B().Keys().Pattern("*").Build()).AsStrSlice()
	if err != nil {
		return err
	}
	values := map[string][]byte{}
	var all [][]byte
	for _, key := range keys {
		value, err := c.client.Do(ctx, c.client.B().Get().Key(key).Build()).AsBytes()
		if err == nil && len(value) > 0 {
			values[key] = value
			all = append(all, value)
		}
	}
	for key, value := range values {
		if err := c.put(ctx, key, lie(random, key, value, all, c.once), random.IntN(20) == 0); err != nil {
			return err
		}
	}
	return nil
}

// put replaces a value in one step: between two, a replica may put its own, and a list cannot be made of that.
func (c *redisCache) put(ctx context.Context, key string, value []byte, list bool) error {
	commands := rueidis.Commands{c.client.B().Multi().Build(), c.client.B().Del().Key(key).Build()}
	switch {
	case len(value) == 0:
	case list: // of another type
		commands = append(commands, c.client.B().Rpush().Key(key).Element(rueidis.BinaryString(value)).Build())
	default:
		commands = append(commands, c.client.B().Set().Key(key).Value(rueidis.BinaryString(value)).Build())
	}
	for _, result := range c.client.DoMulti(ctx, append(commands, c.client.B().Exec().Build())...) {
		if err := result.Error(); err != nil {
			return err
		}
	}
	return nil
}

type tableCache struct {
	sdk  *dynamodb.Client
	once map[string][]byte
}

const cacheTable = "ZotBlobTable"

func (c *tableCache) close() {}

func (c *tableCache) size(ctx context.Context) (int, error) {
	out, err := c.sdk.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String(cacheTable)})
	if err != nil {
		return 0, err
	}
	return len(out.Items), nil
}

// wipe deletes the table, which replicas make again.
func (c *tableCache) wipe(ctx context.Context) error {
	_, err := c.sdk.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: aws.String(cacheTable)})
	return unlessMissing(err)
}

// unlessMissing is no error where there is no table, or one that is being made.
func unlessMissing(err error) error {
	var missing *types.ResourceNotFoundException
	var inUse *types.ResourceInUseException
	if errors.As(err, &missing) || errors.As(err, &inUse) {
		return nil
	}
	return err
}

func (c *tableCache) spoil(ctx context.Context, random *mathrand.Rand) error {
	out, err := c.sdk.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String(cacheTable)})
	if err != nil {
		return unlessMissing(err)
	}
	var all [][]byte
	for _, item := range out.Items {
		if value, is := item["Value"].(*types.AttributeValueMemberB); is && len(value.Value) > 0 {
			all = append(all, value.Value)
		}
	}
	for _, item := range out.Items {
		key, isKey := item["Digest"].(*types.AttributeValueMemberS)
		value, isValue := item["Value"].(*types.AttributeValueMemberB)
		if !isKey || !isValue || len(value.Value) == 0 {
			continue
		}
		if other := lie(random, key.Value, value.Value, all, c.once); len(other) > 0 {
			item["Value"] = &types.AttributeValueMemberB{Value: other}
		} else {
			delete(item, "Value")
		}
		if _, err := c.sdk.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(cacheTable), Item: item}); err != nil {
			return err
		}
	}
	return nil
}
