// Package basic pushes, pulls, lists, copies and deletes with crane, skopeo and
// oras through HAProxy, and compares digests from end to end at every replica.
package basic
