// Package load is a mixed load on a registry by clients who remember what they were
// told. Each client does what registry clients do, one request at a time: pushes in
// chunks, pulls, moves and deletes tags, lists, mounts; it resumes what broke off.
// Nothing is repeated behind its back: every request is one Call of the History.
//
// Values are unique and describe themselves, so that any answer can be judged
// without knowledge of the store. Who may have written what is kept simple on
// purpose: a tag named after a client, a manifest, and a blob that is ever
// deleted, belong to one client; all others are never deleted.
//
// The history is judged by package check. Start with Run and Call.
package load
