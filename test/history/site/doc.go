// Package site is the registry that a history is made at: replicas of Holdfast, or of another registry with the same command
// line, over one bucket and behind HAProxy, with faults while the clients work; or an installation that runs already.
package site
