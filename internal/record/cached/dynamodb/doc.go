// Package dynamodb is the cache that replicas share in a table of DynamoDB, or of a server that speaks its protocol.
//
// The table is made when it is not there (on demand, with a time to live); one that is there is used as it is when its only key is a text: that of zot
// is. Each item is one value, by its key in capital letters as in zot's table:
//
//	Digest   the key, "hf:" before it, so that items of others stay theirs
//	Value    the value, or
//	Count    the counter
//	Expires  when DynamoDB may remove the item, in seconds since 1970
//
// Nothing is asked for before Open returns, and nobody waits for the table: until it is there every call fails at once with ErrNotReady. A table that
// may not be made or looked at is one warning. Reads are not consistent ones, which would cost twice as much: what is read
// is verified, and may be old.
package dynamodb
