// Package upgrade tests that two versions live together over one bucket, and when they stop to.
package upgrade
