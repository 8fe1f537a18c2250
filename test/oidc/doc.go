// Package oidc tests identity tokens of workloads with a real provider of OpenID Connect.
package oidc
