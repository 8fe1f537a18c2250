// Package registry holds the rules of the registry: push, pull, mount, tag, delete, list, referrers. They
// are compare-and-swaps on records and immutable segments of data, in the order that the storage
// protocol gives (docs/storage-format.md), so that any number of processes over one store agree without
// talking to each other. The package knows no HTTP and no driver.
//
// Start with contract.go (Registry, what api calls and wrappers wrap) and local.go (Local, the
// implementation over a record.Store and a data.Store); then push.go, the longest of the protocols.
package registry
