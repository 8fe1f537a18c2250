// Package bolt is the record driver for one machine: one bbolt file in one directory, held by one
// process. Several replicas need the s3 driver.
//
// Every write is on disk before it is acknowledged. Writers that come at the same moment share one
// transaction, and so one fsync: see committer. What a crash leaves is the last transaction that was
// committed, whole. Start with Open.
package bolt
