package simulate

import (
	"math/bits"
	"slices"
)

// contention is what an exploration has learnt of who touches what. Taking a turn away from a client just
// before an operation that commutes with everything that others ever do is the same as taking it after that
// operation, so only operations that others contend for need be preempted.
type contention struct {
	keys    map[string]*touched // by the name of a key, and of a folder
	folders map[string]*touched
	callers map[int]map[int]bool // by replica: the clients that called there share its memory
	passing uint32               // the clients, as bits, that let time pass: for everybody
	grew    bool                 // something was learnt since this was last set to false
}

// touched says which clients, as bits, read and wrote something.
type touched struct{ reads, writes uint32 }

func newContention() *contention {
	return &contention{keys: map[string]*touched{}, folders: map[string]*touched{}, callers: map[int]map[int]bool{}}
}

// touch notes an operation.
func (c *contention) touch(o *op) {
	client := uint32(1) << o.by.client
	if o.verb == verbPass {
		c.grew = c.grew || c.passing&client == 0
		c.passing |= client
	}
	if o.verb == verbBegin || o.verb == verbPass {
		return
	}
	if o.verb == verbList {
		for _, folder := range o.where {
			c.add(c.folders, folder, client, 0)
		}
	} else if o.verb.writes() {
		c.add(c.keys, o.what, 0, client)
		for _, folder := range o.where {
			c.add(c.folders, folder, 0, client)
		}
	} else {
		c.add(c.keys, o.what, client, 0)
	}
	callers := c.callers[o.by.in.replica]
	if callers == nil {
		callers = map[int]bool{}
		c.callers[o.by.in.replica] = callers
	}
	if !callers[o.by.client] {
		callers[o.by.client] = true
		c.grew = c.grew || len(callers) > 1
	}
}

func (c *contention) add(to map[string]*touched, name string, reads, writes uint32) {
	t := to[name]
	if t == nil {
		t = &touched{}
		to[name] = t
	}
	before := *t
	t.reads, t.writes = t.reads|reads, t.writes|writes
	if shared := t.writes != 0 && bits.OnesCount32(t.reads|t.writes) > 1; shared && *t != before {
		c.grew = true
	}
}

// contended reports whether an operation may depend on one of another client.
func (c *contention) contended(o *op) bool {
	if o.verb == verbBegin || o.verb == verbPass || len(c.callers[o.by.in.replica]) > 1 {
		return true
	}
	others := ^(uint32(1) << o.by.client)
	if c.passing&others != 0 {
		return true
	}
	key := c.keys[o.what]
	var read, written uint32 // the folders
	for _, name := range o.where {
		if folder := c.folders[name]; folder != nil {
			read, written = read|folder.reads, written|folder.writes
		}
	}
	switch {
	case o.verb == verbList:
		return written&others != 0
	case o.verb.writes():
		return key != nil && (key.reads|key.writes)&others != 0 || read&others != 0
	}
	return key != nil && key.writes&others != 0
}

// worthwhile reports whether a choice that takes the turn from ops[0] can lead anywhere else than the same
// choice one operation later.
func (c *contention) worthwhile(w *world, ops []*op, to option) bool {
	first := ops[0]
	switch chosen := ops[to.op]; {
	case to.op == 0 || to.preemptions == 0 || first.by.client != w.current:
		return true
	case chosen.by.client == first.by.client && to.fault != faultNone:
		return true // its failure may give up what else its client has under way
	case chosen.verb == verbPass:
		return true
	case chosen.late || chosen.givenUp:
		return chosen.what == first.what || first.verb == verbList && slices.Contains(chosen.where, first.where[0])
	}
	return c.contended(first)
}
