// Package move tests import, backup and restore over real storage: beside a server that has a directory open, beside replicas over S3, and from the storage that real registries
// wrote. ZOT and DISTRIBUTION name the binaries of those; without them their storage is written by package movetest, as it is documented.
package move
