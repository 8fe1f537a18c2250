// Package server is the one place where the parts meet: it turns a configuration into stores, a registry,
// its HTTP API and the health endpoints, and runs them until its context ends. It holds no rule of the
// registry and none of HTTP's beyond listening and draining. Start with Run.
package server
