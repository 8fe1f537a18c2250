// Package htpasswd authenticates by a file of names and password hashes, as htpasswd(1) writes it: bcrypt, SHA-256 and SHA-512 crypt. It follows the
// file while it runs, also when it is a link that is set to another file; a file with a mistake changes nothing.
//
// Hashing is slow on purpose, and a client sends its password with each request: what was found right is remembered by a keyed hash, under a key that
// only this process has, together with the hash that it was compared with, so that a change of the file counts at once.
package htpasswd
