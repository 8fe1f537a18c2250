// Package s3test gives tests the S3 stores that they run against, transports that count requests or
// break them, and proxies that turn a good store into one that must be refused. Stores come from
// HOLDFAST_TEST_S3; `make test` starts them and sets it. Start with Each.
package s3test
