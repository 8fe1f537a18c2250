package recent

import (
	"context"
	"net/http"
	"sync/atomic"

	"holdfast/internal/observe/request"
)

// Requests counts requests of clients, not of machines that ask for health or metrics every second. The zero value is ready for use.
type Requests struct {
	inFlight atomic.Int64
	window   window[Ended]
}

// Ended are requests of the last minute by how they ended.
type Ended struct {
	Total        int64 `json:"total"`
	ClientErrors int64 `json:"clientErrors"` // 4xx
	ServerErrors int64 `json:"serverErrors"` // 5xx
	Cut          int64 `json:"cut"`          // broken off: the client left, or what was promised could not be kept
}

// Begin implements request.Observer.
func (r *Requests) Begin(ctx context.Context, req *request.Request, _ *http.Request) (context.Context, func(request.Outcome)) {
	if req.Quiet {
		return ctx, func(request.Outcome) {}
	}
	r.inFlight.Add(1)
	return ctx, func(o request.Outcome) {
		r.inFlight.Add(-1)
		r.window.add(func(e *Ended) {
			e.Total++
			switch {
			case o.Cut || o.Gone:
				e.Cut++
			case o.Status >= 500:
				e.ServerErrors++
			case o.Status >= 400:
				e.ClientErrors++
			}
		})
	}
}

// InFlight are the requests that have begun and not ended.
func (r *Requests) InFlight() int64 { return r.inFlight.Load() }

// LastMinute are those that ended in the last minute.
func (r *Requests) LastMinute() (sum Ended) {
	r.window.each(func(e *Ended) {
		sum.Total += e.Total
		sum.ClientErrors += e.ClientErrors
		sum.ServerErrors += e.ServerErrors
		sum.Cut += e.Cut
	})
	return sum
}
