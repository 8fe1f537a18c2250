// Package fault is a proxy in front of an S3 server that goes wrong on demand.
//
// A request passes as it came, its signature and Host with it, so that the store
// behind checks what the client signed; what a Rule changes is when the request
// or the answer passes, and what the answer says. Rules choose calls by what they
// are (Call): the operation, the class of the key, the order, chance.
//
// It serves the drills. Start with New, Rule and the faults in faults.go.
package fault
