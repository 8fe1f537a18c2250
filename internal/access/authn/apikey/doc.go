// Package apikey keeps the API keys that users make for themselves: passwords for programs, which live as long as their maker wants, may be for some repositories
// only, and can be taken back one by one. The store has a hash of each; the key is shown once, to whom it was made for. What is made or deleted at one replica holds at
// every other within fresh.MaxAge. The endpoint speaks as zot's does. It is not for tokens, which nobody keeps: those are in package issue.
//
// Start with keys.go.
package apikey
