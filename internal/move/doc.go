// Package move brings images into a registry and out of it: backup and restore, import from the storage of other registries, export.
//
// Everything goes in through registry.Registry, by the same rules as a client's push, and everything that is copied, in or out, is compared with
// its digest on the way. What was copied once is not copied again, so that each of these may be killed and called again. What cannot be copied is named
// in the Report, and the rest goes on.
//
// A Source is where images come from; Layout is the OCI image layout that they go to. Start with Import and Backup.
package move
