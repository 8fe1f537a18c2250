// Package certs keeps the certificate that a server shows, and the authorities whose clients it believes, from files that others replace. What is wrong
// with the files at the start is an error that says all of it; what is wrong later is told, and changes nothing: those before stay in use. Start with Open.
package certs
