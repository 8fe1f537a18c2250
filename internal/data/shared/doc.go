// Package shared reads large ranges of segments in chunks, several at once ahead of a client that keeps up, and each chunk once
// for all clients that read the same segment at the same time. It is for a store far away, whose single connection is slower than
// a client, and which is paid by the byte and by the request. It keeps nothing that nobody reads: it is no cache. Segments never change and their ids
// are never used again, so bytes may be shared by id alone; whether all come from one object is checked all the same.
//
// Start with Reads and reader: chunks.go is who needs what and where its memory comes from, reader.go is what one client does.
package shared
