package recent

import "sync/atomic"

// Requests counts requests. The zero value is ready for use.
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

// Begin counts a request, and returns what is called once with its status when it ends; 0 is one that was cut.
func (r *Requests) Begin() (end func(status int)) {
	r.inFlight.Add(1)
	return func(status int) {
		r.inFlight.Add(-1)
		r.window.add(func(e *Ended) {
			e.Total++
			switch {
			case status == 0:
				e.Cut++
			case status >= 500:
				e.ServerErrors++
			case status >= 400:
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
