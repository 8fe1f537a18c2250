// Package race has many clients write to one thing through three replicas at the
// same time and looks for what was acknowledged and is not there. It is where a
// shared index, a cache or a lock would show.
//
// HOLDFAST_RACE makes it larger: "clients=32,tags=1000,rounds=3".
package race
