package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// The times of watching, and how many may.
const (
	freshFor     = 2 * time.Second  // a view is shown again so long
	lookTime     = 10 * time.Second // one look
	commentEvery = 15 * time.Second // so that nobody on the way takes the connection for idle
	writeTime    = 10 * time.Second // a watcher that does not read for so long is let go
	mostWatchers = 64
	retryMs      = 2000 // after which a watcher comes back
)

// Desk shows views to many for the price of one look. Safe for concurrent use.
type Desk struct {
	viewer *Viewer
	name   func() string // of who answers

	watchers atomic.Int64
	turn     chan struct{} // holds one token: one look at a time
	last     View          // of who has the turn
	failed   error
	looked   time.Time
}

// NewDesk returns a desk that shows what a viewer sees, and names who answers.
func NewDesk(v *Viewer, name func() string) *Desk {
	return &Desk{viewer: v, name: name, turn: make(chan struct{}, 1)}
}

// View returns a view that is two seconds old at most. Errors: as Viewer.Look, which are remembered as long.
func (d *Desk) View(ctx context.Context) (View, error) {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return View{}, ctx.Err()
	}
	if !d.looked.IsZero() && time.Since(d.looked) < freshFor {
		return d.last, d.failed
	}
	// The look is everybody's: it does not end with who happened to ask first.
	looking, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
	defer cancel()
	d.last, d.failed = d.viewer.Look(looking)
	d.last.AnsweredBy = d.name()
	d.looked = time.Now()
	return d.last, d.failed
}

// Events are the types of the events that a watcher gets.
const (
	EventSnapshot = "snapshot" // a View: the first event
	EventCluster  = "cluster"  // an Update
	EventTrouble  = "trouble"  // a Trouble: the cluster cannot be looked at now; the next cluster event says that it can
	EventEnd      = "end"      // nothing: this replica ends; come back, to another
)

// Update is what changed, and how all is now.
type Update struct {
	Changes []Change `json:"changes"`
	View    View     `json:"view"`
}

// Trouble is why there is no view.
type Trouble struct {
	Text string `json:"text"`
}

// ServeEvents answers with server-sent events until the client leaves, ending is closed, or admitted, which is asked now and then, says that the client may not
// watch any more: first a snapshot, whatever Last-Event-ID says, for the last one
// may have been another replica's; then what changes. It returns the status; 503 is one watcher too many, or a snapshot that there is not, and is left to the
// caller to answer.
func (d *Desk) ServeEvents(w http.ResponseWriter, r *http.Request, ending <-chan struct{}, admitted func() bool) (int, error) {
	if d.watchers.Add(1) > mostWatchers {
		d.watchers.Add(-1)
		return http.StatusServiceUnavailable, fmt.Errorf("cluster: %d watch already at this replica", mostWatchers)
	}
	defer d.watchers.Add(-1)
	ctx := r.Context()
	last, err := d.View(ctx)
	if err != nil {
		return http.StatusServiceUnavailable, err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	to := &stream{w: w, control: http.NewResponseController(w)}
	defer func() { _ = to.control.SetWriteDeadline(time.Time{}) }() // the connection may serve another request
	to.text("retry: " + strconv.Itoa(retryMs) + "\n\n")
	to.event(EventSnapshot, last.At, last)
	look, comment := time.NewTicker(freshFor), time.NewTicker(commentEvery)
	defer look.Stop()
	defer comment.Stop()
	troubled := false
	for to.err == nil {
		select {
		case <-ctx.Done():
			return http.StatusOK, nil
		case <-ending:
			to.event(EventEnd, last.At, struct{}{})
			return http.StatusOK, nil
		case <-comment.C:
			if !admitted() {
				return http.StatusOK, nil // it is told why when it comes back
			}
			to.text(": still here\n\n")
		case <-look.C:
			now, err := d.View(ctx)
			switch {
			case ctx.Err() != nil:
			case err != nil && !troubled:
				troubled = true
				to.event(EventTrouble, last.At, Trouble{"the store does not tell: " + err.Error()})
			case err != nil:
			default:
				if changes := Changes(last, now); len(changes) > 0 || troubled {
					to.event(EventCluster, now.At, Update{Changes: append([]Change{}, changes...), View: now})
				}
				last, troubled = now, false
			}
		}
	}
	return http.StatusOK, nil // a watcher that is gone
}

// stream writes events. Its first error ends it.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

func (s *stream) event(kind string, at time.Time, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		s.err = err
		return
	}
	s.text(fmt.Sprintf("event: %s\nid: %d\ndata: %s\n\n", kind, at.UnixMilli(), data))
}

func (s *stream) text(text string) {
	if s.err != nil {
		return
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTime)) // not supported by test recorders only
	if _, s.err = s.w.Write([]byte(text)); s.err == nil {
		s.err = s.control.Flush()
	}
}
