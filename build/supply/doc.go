// Command supply says what the program is made of: under which licence each of its modules is, which it reads from the modules themselves, and a bill of
// materials of a binary that was built.
//
//	go run ./build/supply                                  the licences; exit code 1 when one is unknown or not allowed
//	go run ./build/supply -sbom FILE -binary bin/holdfast  the same for what is in the binary, and its bill in CycloneDX's JSON
//
// The same binary gives the same bill, byte for byte.
package main
