// Package registrytest is the suite that every registry.Registry passes: registry.Local over any drivers,
// wrappers around it, and a client that speaks to one over HTTP. It sees only the contract. Start with Run.
package registrytest
