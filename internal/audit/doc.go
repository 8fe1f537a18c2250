// Package audit writes who did what: a line of JSON for each request that writes, for each that was denied, and for what else somebody has to answer
// for: logins, tokens, keys, an administrator's work. It decides nothing, and no request fails for it.
//
// Log is an observer of requests. It does not know who makes a request when that begins: it puts a place for that into the context, and who finds it out
// further inside calls Note. docs/audit.md has the fields. Start with log.go.
package audit
