// Package cached keeps copies of segments in a directory of this machine, so that what many clients read is read from the store once. It wraps a
// data.Store, of a bucket, and is one itself.
//
// The store is the truth, and the directory may be lost, cut, overwritten, full or read only at any moment: that costs speed, and nothing else. Every
// chunk of a copy is compared with its checksum before a reader gets it, and a reader that finds something wrong goes on from the store where it is.
// A copy is handed out as a file, for sendfile, only when all of it was compared by this process and the file has not changed since.
//
//	<dir>/lock                        held by the process that uses the directory
//	<dir>/segments/<id>               a copy: the segment's bytes, a CRC-32C of each 256 KiB of them, and a trailer
//	<dir>/segments/<id>.<n>.part      one that is being made
//
// Nothing is synced: after a power cut the checksums tell. Start with New; then Open.
package cached
