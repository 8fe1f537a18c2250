// Package authn finds out who makes a request: it takes the credentials from it, asks the ways of authentication that are configured, and puts
// an access.Request into the context. What is wrong is answered here, with the challenge that clients understand; what an identity may do is not decided here.
package authn
