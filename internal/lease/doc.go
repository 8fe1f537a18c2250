// Package lease is for work that one replica at a time should do: a scrub, a collector's pass. A lease says who does it and
// how far it is, so that whoever takes it next goes on from there.
//
// It is an optimisation and no lock. A holder that was stopped for a while does not know that its lease has passed to another,
// and no write to any other key asks for it: two holders at once do the same work twice, and that must do no harm. Only the
// lease's own record is fenced: each Take raises its epoch, and a Save of an earlier epoch fails.
//
// All times are the store's. Start with Take.
package lease
