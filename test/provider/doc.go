// Package provider starts an OpenID provider for tests, node's oidc-provider, on a loopback port, and plays the person at its forms.
package provider
