// Package samples starts the program with the configurations that zot publishes for clusters, caches and buckets, as they stand, and pushes and pulls
// through each. Its tests need the programs of scripts/tools.sh cluster cache.
package samples
