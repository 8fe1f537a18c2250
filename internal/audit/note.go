package audit

import (
	"context"
	"net/http"
	"sync"

	"holdfast/internal/access"
	"holdfast/internal/observe/request"
)

// notes are what is found out about a request while it is served.
type notes struct {
	log   *Log
	agent string
	peer  string

	mu      sync.Mutex
	who     access.Identity
	client  string
	claimed string
	action  access.Action
}

type key struct{}

func from(ctx context.Context) *notes {
	n, _ := ctx.Value(key{}).(*notes)
	return n
}

// Note says who makes the request that a context belongs to, and from where. Without a request that is audited it does nothing, as the others here.
func Note(ctx context.Context, r *access.Request) {
	if n := from(ctx); n != nil && r != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.who = r.Identity
		if r.Client.IsValid() {
			n.client = r.Client.String()
		}
	}
}

// Claim says which name came with credentials that were refused.
func Claim(ctx context.Context, name string) {
	if n := from(ctx); n != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.claimed = name
	}
}

// Act says which action it was asked for, or denied.
func Act(ctx context.Context, a access.Action) {
	if n := from(ctx); n != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.action = a
	}
}

// Outcome is what came of what was asked for.
type Outcome string

// The outcomes.
const (
	Done   Outcome = "done"
	Denied Outcome = "denied" // by who may what, or by a limit
	Failed Outcome = "failed" // a mistake of the client, a fault of ours, or nobody knows: the client left
)

// Event is something that somebody has to answer for and that the line of its request does not tell.
type Event struct {
	What    string // as "login", "token issued", "api key made", "api key revoked", "gc", "tag restore", "secret rotate"
	Outcome Outcome
	Target  string // what it was done to: a key's id, a store, a repository's tag; never a secret
	User    string // whom it is about, when that is not who makes the request
	Way     access.Way
	Code    string // of the error
}

// Tell writes a line about an event in the course of the request that a context belongs to.
func Tell(ctx context.Context, e Event) {
	if n := from(ctx); n != nil && n.log != nil {
		n.log.Tell(ctx, e)
	}
}

// Tell writes a line about an event, also without a request: a command's.
func (l *Log) Tell(ctx context.Context, e Event) {
	if l == nil {
		return
	}
	one := &line{Event: e.What, Outcome: e.Outcome, Target: e.Target, Code: e.Code}
	if n := from(ctx); n != nil {
		n.fill(one)
	}
	if e.User != "" {
		one.User, one.Way = e.User, string(e.Way)
	}
	if req := request.From(ctx); req != nil {
		one.Request = req.ID
	}
	l.write(ctx, one)
}

// fill copies who, and from where.
func (n *notes) fill(one *line) {
	n.mu.Lock()
	defer n.mu.Unlock()
	one.User, one.Way, one.Claimed, one.Action = n.who.Name, string(n.who.Way), n.claimed, string(n.action)
	one.Groups = append([]string(nil), n.who.Groups...)
	one.Agent, one.Client = n.agent, n.peer
	if n.client != "" {
		one.Client = n.client
	}
}

// credentials reports whether a request shows any.
func credentials(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" || r.TLS != nil && len(r.TLS.PeerCertificates) > 0
}
