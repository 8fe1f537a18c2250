// Package mem is the record driver that keeps everything in memory: for tests and for the simulation,
// which moves its clock. It starts no goroutine and, given a clock, reads no other, so it may be used
// within testing/synctest. It is stricter than the drivers for real stores: keys and prefixes that the
// contract rules out are errors here. Start with New.
package mem
