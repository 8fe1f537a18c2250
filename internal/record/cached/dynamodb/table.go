package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

const (
	newKey     = "Digest" // of a table that we make; zot's name
	firstDelay = time.Second
	lastDelay  = time.Minute
	tableDelay = 200 * time.Millisecond // between looks at a table that is being made
)

// prepare tries until the table can be used.
func (c *Cache) prepare(ctx context.Context) {
	for delay, warned := firstDelay, false; ; delay = min(2*delay, lastDelay) {
		t, err := c.open(ctx)
		if err == nil {
			c.table.Store(t)
			c.log.InfoContext(ctx, "the shared cache answers", "driver", "dynamodb", "table", c.cfg.Table)
			return
		}
		if ctx.Err() != nil {
			return
		}
		if !warned { // once: it is a cache
			c.log.WarnContext(ctx, "the shared cache does not answer: serving without it, trying on", "driver", "dynamodb", "table", c.cfg.Table, "err", err)
			warned = true
		}
		if sleep(ctx, delay) != nil {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open makes a client and finds the table, which it makes where there is none.
func (c *Cache) open(ctx context.Context) (*table, error) {
	sdk, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	t := &table{sdk: sdk}
	var made time.Time // zero: it is not, or was seen since
	for {
		found, err := t.describe(ctx, c.cfg.Table)
		var missing *types.ResourceNotFoundException
		absent := errors.As(err, &missing)
		switch {
		case absent && made.IsZero():
			if err := t.make(ctx, c.cfg.Table); err != nil {
				return nil, err
			}
			made = time.Now()
		case absent && time.Since(made) < adminLimit: // it may take a moment to be seen
		case err != nil:
			return nil, err
		case found.TableStatus == types.TableStatusActive || found.TableStatus == types.TableStatusUpdating:
			if t.key, err = keyOf(c.cfg.Table, found); err != nil {
				return nil, err
			}
			if err := t.expire(ctx, c.cfg.Table); err != nil {
				c.log.WarnContext(ctx, "items of the shared cache are not removed by themselves: turn the time to live on", "table", c.cfg.Table, "attribute", expiresName, "err", err)
			}
			return t, nil
		default: // it is being made, or deleted: then it is to be made again
			made = time.Time{}
		}
		if err := sleep(ctx, tableDelay); err != nil {
			return nil, err
		}
	}
}

func (t *table) describe(ctx context.Context, name string) (*types.TableDescription, error) {
	ctx, cancel := context.WithTimeout(ctx, adminLimit)
	defer cancel()
	out, err := t.sdk.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		return nil, fmt.Errorf("dynamodb: describe table %s: %w", name, err)
	}
	return out.Table, nil
}

// keyOf is the name of the attribute that items are found by. Errors: the table cannot be used.
func keyOf(name string, found *types.TableDescription) (string, error) {
	var key string
	for _, k := range found.KeySchema {
		if k.KeyType != types.KeyTypeHash {
			return "", fmt.Errorf("dynamodb: use table %s: its key has a second part, %s: want one that has none", name, aws.ToString(k.AttributeName))
		}
		key = aws.ToString(k.AttributeName)
	}
	for _, a := range found.AttributeDefinitions {
		if aws.ToString(a.AttributeName) == key && a.AttributeType != types.ScalarAttributeTypeS {
			return "", fmt.Errorf("dynamodb: use table %s: its key, %s, has the type %s: want S", name, key, a.AttributeType)
		}
	}
	return key, nil
}

// make begins to make the table. Another replica may do that too.
func (t *table) make(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, adminLimit)
	defer cancel()
	_, err := t.sdk.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String(newKey), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String(newKey), AttributeType: types.ScalarAttributeTypeS}},
	})
	var inUse *types.ResourceInUseException
	if err != nil && !errors.As(err, &inUse) {
		return fmt.Errorf("dynamodb: make table %s: %w", name, err)
	}
	return nil
}

// expire turns the time to live on, unless it is, or the server knows none.
func (t *table) expire(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, adminLimit)
	defer cancel()
	now, err := t.sdk.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &name})
	if unknown(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("dynamodb: describe the time to live of table %s: %w", name, err)
	}
	if d := now.TimeToLiveDescription; d != nil && (d.TimeToLiveStatus == types.TimeToLiveStatusEnabled || d.TimeToLiveStatus == types.TimeToLiveStatusEnabling) {
		if on := aws.ToString(d.AttributeName); on != expiresName {
			return fmt.Errorf("dynamodb: set the time to live of table %s: it is that of the attribute %s", name, on)
		}
		return nil
	}
	_, err = t.sdk.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName: &name, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(expiresName), Enabled: aws.Bool(true)},
	})
	if err != nil && !unknown(err) {
		return fmt.Errorf("dynamodb: set the time to live of table %s: %w", name, err)
	}
	return nil
}

// unknown reports whether the server has no such operation: others than AWS lack some.
func unknown(err error) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) && answer.ErrorCode() == "UnknownOperationException"
}
