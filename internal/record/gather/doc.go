// Package gather shares one read of a store between callers who ask for the same key at the same time, without giving anybody an
// answer that is older than the question.
//
// A caller is only given what a read returned that began after the caller called. So what singleflight does, to join a read that is under
// way, is not done here: the store may have answered it already, with a value that an acknowledged write has replaced since. Of each key, some
// reads (Config.Reads) may be under way. A caller who comes while there are fewer makes its own at once, in its own goroutine: who is
// alone notices nothing. A caller who comes while there are so many waits for the next read, with all others who do. It begins when
// one of those under way ends, or when they have waited for the share of a read's time by which reads are apart that are spread evenly: callers who were answered
// together ask again together. However many callers there are, the store is asked about twice Reads times in the time that a read takes, and nobody waits much
// longer than for a read of its own.
//
// Why that is linearizable: record.Store is, per key, so a read takes effect at one instant between its begin and its end. Let a caller call at
// c and return at r, and be given the result of a read that began at b and ended at e. It joined the read before that began, so c < b; it
// returns after that ended, so e < r. The instant of the read lies in [b, e], so in [c, r]: each caller may be taken for one that read
// by itself at that instant. That any number of callers share the instant changes nothing, reads do not change the store. An error is
// an answer as well: also "not there" is only given to callers who asked before that read began.
//
// It is no cache: nothing is kept once the last caller has it. Writes, deletes and lists pass.
package gather
