// Package docs tests that what the pages of the project name is there: links and their anchors, paths, targets of make. That commands and flags exist is
// tested where the commands are, in cmd/holdfast.
package docs
