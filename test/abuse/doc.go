// Package abuse asks a running registry for what an attacker, or somebody with bad input, would, and looks at the answers. Every row has a
// number: A.. is an attack, B.. bad input of a client or of an operator. "make abuse" asks three replicas over a real S3 server, through HAProxy
// and each by itself where a proxy would stand in the way; "go test" asks one replica over a directory, and leaves out what takes its time.
//
// Nothing of a client library stands between a row and the wire. Whatever a row is about, every answer is held to the contract of contract_test.go.
//
// Start with row_test.go for the form of a row and numbers_test.go for the list of them, then any table, such as names_test.go.
package abuse
