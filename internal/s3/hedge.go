package s3

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// getObject is a GetObject of a range ("": the whole) up to its answer, hedged. The watch ends its body.
func (c *Client) getObject(w *watch, key, span string) (*answer, error) {
	return hedged(c, w, func(ctx context.Context) (*answer, error) {
		return c.wire.do(ctx, call{op: opGetObject, method: http.MethodGet, key: c.base + key, header: headers("Range", span)})
	}, func(a *answer) { _ = a.body.Close() })
}

// hedged makes the call of a read and, when there is no answer after hedgeTime, once more beside it over a new connection: so a
// connection that is dead costs no more than that, and a store that is slow is still waited for. The first answer counts, an error
// as well, and the other call is ended; drop frees what it returns all the same. Like a retry the second call
// needs a token of the budget, so that a slow store is not given twice the load. The watch ends both calls, and what they return.
func hedged[T any](c *Client, w *watch, call func(context.Context) (T, error), drop func(T)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	first, stopFirst := w.child()
	second, stopSecond := w.child()
	beside := make(chan answer, 1)
	var decided atomic.Bool // by the first answer, for good
	timer := time.AfterFunc(hedgeTime, func() {
		if decided.Load() || !c.breaker.closed() || !c.retries.spend() {
			beside <- answer{err: errTimeout}
			return
		}
		c.transport.CloseIdleConnections() // they may be as dead
		w.hedged.Store(true)
		value, err := call(second)
		switch {
		case !isAnswer(err):
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
	if timer.Stop() {
		w.began(err)
		return value, err
	}
	switch {
	case !isAnswer(err):
	case decided.CompareAndSwap(false, true):
		stopSecond()
		w.began(err)
		return value, err
	case err == nil:
		drop(value)
	}
	if a := <-beside; isAnswer(a.err) {
		value, err = a.value, a.err
	}
	w.began(err)
	return value, err
}

// isAnswer reports whether the store answered, with a value or an error.
func isAnswer(err error) bool {
	var answer *smithyhttp.ResponseError
	return err == nil || errors.As(err, &answer) && answer.HTTPStatusCode() != 0
}
