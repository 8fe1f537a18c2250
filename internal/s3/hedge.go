package s3

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// getObject is a GetObject up to its answer, hedged. The watch ends its body.
func (c *Client) getObject(w *watch, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	return hedged(c, w, opGetObject, func(ctx context.Context) (*s3.GetObjectOutput, error) {
		return c.sdk.GetObject(ctx, in)
	}, func(out *s3.GetObjectOutput) { _ = out.Body.Close() })
}

// hedged makes the call of a read and, when there is no answer after hedgeTime, once more beside it over a new connection: so a
// connection that is dead costs no more than that, and a store that is slow is still waited for. The first answer counts, a 404
// as well, and after a failure the other is waited for; drop frees the value that is not returned. Like a retry the second call
// needs a token of the budget, so that a slow store is not given twice the load. The watch ends both calls, and what they return.
func hedged[T any](c *Client, w *watch, name string, call func(context.Context) (T, error), drop func(T)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	first, stopFirst := context.WithCancel(w.ctx)
	beside := make(chan answer, 1)
	var decided atomic.Bool // by the first answer, for good
	timer := time.AfterFunc(hedgeTime, func() {
		if !c.breaker.closed() || !c.retries.spend() {
			beside <- answer{err: errTimeout}
			return
		}
		c.transport.CloseIdleConnections() // they may be as dead
		value, err := call(w.ctx)
		switch {
		case !isAnswer(name, err):
		case decided.CompareAndSwap(false, true):
			stopFirst()
		default:
			if err == nil {
				drop(value)
			}
			err = errTimeout
		}
		beside <- answer{value, err}
	})
	value, err := call(first)
	switch {
	case timer.Stop():
		return value, err
	case !isAnswer(name, err):
	case decided.CompareAndSwap(false, true):
		return value, err
	case err == nil:
		drop(value)
	}
	if a := <-beside; isAnswer(name, a.err) {
		return a.value, a.err
	}
	return value, err
}

// isAnswer reports whether a request was answered, if only with a refusal, so that another attempt would be told the same.
func isAnswer(name string, err error) bool {
	return err == nil || !newError(name, err).Kind.retryable()
}
