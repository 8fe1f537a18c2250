// Package mem is the data driver that keeps everything in memory: for tests and for the simulation,
// which moves its clock. It starts no goroutine and, given a clock, reads no other, so it may be used
// within testing/synctest. Start with New.
package mem
