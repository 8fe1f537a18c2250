// Package s3 is the client that the S3 drivers share: one bucket, a prefix, and about a dozen low-level
// requests, with deadlines, retries, a circuit breaker, the store's clock and errors
// that say what is known after a failure. It knows nothing of records or segments, and it never
// repeats a conditional write: whoever makes one looks at the key and decides. The AWS SDK finds the
// endpoint and the credentials, signs, and makes the rare requests; those of every push and pull
// go without the rest of it, see wire. Start with Client;
// record/s3 and data/s3 are the drivers, and probe is the self-test that decides whether a store
// can carry them.
package s3
