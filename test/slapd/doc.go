// Package slapd starts a directory for tests: OpenLDAP's slapd on loopback ports, with people and groups in it, in a folder of its own.
package slapd
