// Package file is the data driver for one machine: a segment is a file.
//
//	<dir>/<first two digits of the id>/<id>   a committed segment, never changed
//	<dir>/tmp/<id>.<random>                   one on its way in
//
// A segment appears by one rename, whole. Several processes of one machine may use a directory: they
// meet nowhere, because no two write the same name. Readers let net/http use sendfile: see Reader.
// Start with Open.
package file
