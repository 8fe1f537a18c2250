// Package record is the contract for small values under ordered keys: blob records, links, manifests,
// tags, referrers, fences, upload sessions. All rules of the registry are compare-and-swaps on such
// values. The package holds no rule of a registry and no driver: drivers are bolt (one machine), s3
// (a cluster) and mem (tests); recordtest is the suite that each of them passes. Start with Store.
package record
