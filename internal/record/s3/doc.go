// Package s3 keeps records in an S3 bucket, one object per key, by S3's own conditional writes. Any number
// of processes may use one bucket. It trusts that the store's If-None-Match and If-Match are
// atomic: the self-test in internal/s3/probe proves it before a server starts. It is no cache and
// holds no lock. Start with Store.Put, where a lost answer is settled; README.md says what the store must
// promise and what happens when it fails.
package s3
