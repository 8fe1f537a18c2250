// Package s3 keeps segments in an S3 bucket: one object each, written by a single PutObject where it fits
// into a part, else by a multipart upload whose parts go out while the client still sends. It uses no
// local disk; the memory of all uploads of a process is one Budget, and what is left over of it holds small segments that were read
// lately (warm.go). Any number of processes may use one bucket. It holds no rule of the registry. Start with Store and writer;
// README.md says what the store must promise and what happens when it fails.
package s3
