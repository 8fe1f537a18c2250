package dynamodb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/logging"

	"holdfast/internal/record/cached"
	"holdfast/internal/record/cached/outlive"
)

const (
	callLimit  = 2 * time.Second
	adminLimit = 10 * time.Second
	mostCalls  = 256
	mostGets   = 100       // of one BatchGetItem
	mostWrites = 25        // of one BatchWriteItem
	mostBytes  = 390 << 10 // of a value: an item has 400 KiB, with its names

	mostAnswer = 24 << 20 // bytes of an answer: a batch has 16 MB of values at most, which are a third longer in JSON

	valueName   = "Value"
	countName   = "Count"
	expiresName = "Expires"
)

// Errors of calls.
var (
	ErrNotReady  = errors.New("the table is not ready yet")
	ErrThrottled = errors.New("throttled") // all that was asked for
)

// endpointVariable is the SDK's own. It wins over the file, so that what points at a server on the same host, as samples do, can be
// sent elsewhere without another file.
const endpointVariable = "AWS_ENDPOINT_URL_DYNAMODB"

// Config is where the table is. Credentials are found by the SDK's chain: environment, shared files, role of the service account or
// of the machine.
type Config struct {
	// Endpoint is a URL; empty: the SDK's environment, else AWS. endpointVariable wins over it.
	Endpoint string
	// Region; empty: the SDK's chain, else us-east-1.
	Region string
	// Table must not be empty.
	Table string
}

// Cache is a cached.Cache in a table. Safe for concurrent use.
type Cache struct {
	cfg       Config
	log       *slog.Logger
	calls     *outlive.Calls
	transport *http.Transport
	table     atomic.Pointer[table]
}

var _ cached.Cache = (*Cache)(nil)

// table is one that can be used.
type table struct {
	sdk *dynamodb.Client
	key string // the attribute's name
}

// Open returns a cache that looks for its table in the background, as often as it takes. Errors: there is no name of one.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Cache, error) {
	if cfg.Table == "" {
		return nil, errors.New("dynamodb: the table has no name")
	}
	c := &Cache{cfg: cfg, log: log, calls: outlive.New(ctx, callLimit, mostCalls), transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: adminLimit,
	}}
	c.calls.Go(c.prepare)
	return c, nil
}

// connect makes a client, and no request.
func (c *Cache) connect(ctx context.Context) (*dynamodb.Client, error) {
	var options []func(*config.LoadOptions) error
	if c.cfg.Region != "" {
		options = append(options, config.WithRegion(c.cfg.Region))
	}
	sdk, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("dynamodb: read the environment: %w", err)
	}
	if sdk.Region == "" {
		sdk.Region = "us-east-1"
	}
	return dynamodb.NewFromConfig(sdk, func(o *dynamodb.Options) {
		if c.cfg.Endpoint != "" && os.Getenv(endpointVariable) == "" {
			o.BaseEndpoint = aws.String(c.cfg.Endpoint)
		}
		o.HTTPClient = &http.Client{Transport: bounded{c.transport}}
		o.Retryer = aws.NopRetryer{} // a miss is as good
		o.Logger = logging.Nop{}
	}), nil
}

// bounded reads no more of an answer than a real one has: the SDK reads all there is.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.Body != http.NoBody {
		// The SDK closes the body when the head of the answer is there. Its WriteTo then fails, also where net/http only looks for the end of what it sent, and the connection is
		// closed in the middle of the answer; its Read ends as it should.
		own := *req
		own.Body = struct{ io.ReadCloser }{req.Body}
		req = &own
	}
	res, err := b.RoundTripper.RoundTrip(req)
	if err == nil {
		res.Body = http.MaxBytesReader(nil, res.Body, mostAnswer)
	}
	return res, err //nolint:wrapcheck // as it was
}

// do makes a call that goes on when ctx has ended. f may keep nothing of the caller's.
func do[T any](ctx context.Context, c *Cache, verb string, f func(context.Context, *table) (T, error)) (T, error) {
	t := c.table.Load()
	if t == nil {
		var none T
		return none, fmt.Errorf("dynamodb: %s: %w", verb, ErrNotReady)
	}
	v, err := outlive.Do(ctx, c.calls, func(ctx context.Context) (T, error) {
		v, err := f(ctx, t)
		var missing *types.ResourceNotFoundException
		if errors.As(err, &missing) && c.table.CompareAndSwap(t, nil) { // somebody has deleted it
			c.calls.Go(c.prepare)
		}
		return v, err
	})
	if err != nil {
		return v, fmt.Errorf("dynamodb: %s: %w", verb, err)
	}
	return v, nil
}

type item = map[string]types.AttributeValue

func (t *table) itemKey(key string) item {
	return item{t.key: &types.AttributeValueMemberS{Value: "hf:" + key}}
}

func seconds(t time.Time) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(t.Unix(), 10)}
}

// valueOf is nil for an item that holds no value.
func valueOf(found item) []byte {
	if v, is := found[valueName].(*types.AttributeValueMemberB); is && len(v.Value) > 0 {
		return v.Value
	}
	return nil
}

// Get is one request for each hundred keys. Of keys that the server leaves for later it says that there is no value; where it leaves all, ErrThrottled.
func (c *Cache) Get(ctx context.Context, keys []string) ([][]byte, error) {
	keys = slices.Clone(keys)
	return do(ctx, c, "get", func(ctx context.Context, t *table) ([][]byte, error) {
		if len(keys) == 1 {
			out, err := t.sdk.GetItem(ctx, &dynamodb.GetItemInput{TableName: &c.cfg.Table, Key: t.itemKey(keys[0])})
			if err != nil {
				return nil, err
			}
			return [][]byte{valueOf(out.Item)}, nil
		}
		found := make(map[string][]byte, len(keys))
		for some := range slices.Chunk(slices.Compact(slices.Sorted(slices.Values(keys))), mostGets) {
			if err := c.batch(ctx, t, some, found); err != nil {
				return nil, err
			}
		}
		values := make([][]byte, len(keys))
		for i, key := range keys {
			values[i] = bytes.Clone(found[key]) // a key may be there twice
		}
		return values, nil
	})
}

func (c *Cache) batch(ctx context.Context, t *table, keys []string, found map[string][]byte) error {
	var all types.KeysAndAttributes
	for _, key := range keys {
		all.Keys = append(all.Keys, t.itemKey(key))
	}
	out, err := t.sdk.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{c.cfg.Table: all}})
	if err != nil {
		return err
	}
	items := out.Responses[c.cfg.Table]
	if len(out.UnprocessedKeys) > 0 && len(items) == 0 {
		return ErrThrottled
	}
	for _, one := range items {
		if key, is := one[t.key].(*types.AttributeValueMemberS); is && len(key.Value) > 3 {
			found[key.Value[3:]] = valueOf(one)
		}
	}
	return nil
}

// Set writes over whatever is there. A value that is too large for an item is not kept.
func (c *Cache) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if len(value) > mostBytes {
		return nil
	}
	value = bytes.Clone(value)
	_, err := do(ctx, c, "set", func(ctx context.Context, t *table) (*dynamodb.PutItemOutput, error) {
		one := t.itemKey(key)
		one[valueName], one[expiresName] = &types.AttributeValueMemberB{Value: value}, seconds(time.Now().Add(ttl))
		return t.sdk.PutItem(ctx, &dynamodb.PutItemInput{TableName: &c.cfg.Table, Item: one})
	})
	return err
}

// Delete is one request for each 25 keys. What the server leaves for later stays.
func (c *Cache) Delete(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	_, err := do(ctx, c, "delete", func(ctx context.Context, t *table) (struct{}, error) {
		for some := range slices.Chunk(keys, mostWrites) {
			var all []types.WriteRequest
			for _, key := range some {
				all = append(all, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: t.itemKey(key)}})
			}
			if _, err := t.sdk.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{c.cfg.Table: all}}); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	return err
}

// Add is one request, and two more when the counter is to begin anew: DynamoDB removes what has ended days later, so ends are judged here, by
// this machine's clock, to the second.
func (c *Cache) Add(ctx context.Context, key string, n int64, ttl time.Duration) (int64, error) {
	return do(ctx, c, "add", func(ctx context.Context, t *table) (int64, error) {
		const goOn, begin = "ADD #n :n SET #e = if_not_exists(#e, :e)", "SET #n = :n, #e = :e"
		for range 3 {
			now := time.Now()
			count, err := c.update(ctx, t, key, n, now, now.Add(ttl), goOn, "attribute_not_exists(#e) OR #e > :now")
			if !conditionFailed(err) {
				return count, err
			}
			count, err = c.update(ctx, t, key, n, now, now.Add(ttl), begin, "#e <= :now")
			if !conditionFailed(err) { // else another has just begun it
				return count, err
			}
		}
		return 0, errors.New("the counter neither goes on nor ends")
	})
}

func conditionFailed(err error) bool {
	var failed *types.ConditionalCheckFailedException
	return errors.As(err, &failed)
}

func (c *Cache) update(ctx context.Context, t *table, key string, n int64, now, end time.Time, update, condition string) (int64, error) {
	out, err := t.sdk.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &c.cfg.Table, Key: t.itemKey(key), ReturnValues: types.ReturnValueUpdatedNew,
		UpdateExpression: &update, ConditionExpression: &condition,
		ExpressionAttributeNames: map[string]string{"#n": countName, "#e": expiresName},
		ExpressionAttributeValues: item{
			":n": &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}, ":e": seconds(end), ":now": seconds(now),
		},
	})
	if err != nil {
		return 0, err
	}
	count, is := out.Attributes[countName].(*types.AttributeValueMemberN)
	if !is {
		return 0, errors.New("the answer has no count")
	}
	return strconv.ParseInt(count.Value, 10, 64)
}

// Close ends calls that are under way, and all connections. It is safe to call twice.
func (c *Cache) Close() error {
	c.calls.Close()
	c.transport.CloseIdleConnections()
	return nil
}
