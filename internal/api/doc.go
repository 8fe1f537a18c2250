// Package api serves a registry.Registry over HTTP as the OCI distribution-spec says: request, Registry,
// response. It is the only package that knows HTTP statuses. Start with api.go; route.go reads paths,
// errors.go has the one table from codes to statuses, body.go keeps slow clients in bounds.
package api
