// Package recent counts what a process did in the last minute: requests by how they ended, and the store's answers by how long they took. It is
// what a replica tells of itself to the others, in numbers that a person reads. It keeps a minute, in some KiB, and no more: for anything longer there are
// metrics. Safe for concurrent use.
//
// Start with Requests and Calls, which are told of everything as other observers are.
package recent
