// Package work is the clients of a history: they push, pull, mount, move tags, delete and list, on few names that
// they all use at once, and send every step of a flow to the balancer or to a replica by chance. Each has its own
// random numbers from one seed; each request is one call of the log, and nothing is repeated behind its back.
//
// Values are unique and say who made them; the bytes of a blob follow from its name, so that any part of any
// answer can be compared. Some manifests and blobs are made again and again by everybody on purpose: they are what
// pushes and deletes race for.
//
// Start with Run and flows.go.
package work
