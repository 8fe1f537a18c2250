// Package load is the clients of the benchmark: plain net/http, the words of the OCI API, content that was never pushed before and costs
// next to nothing to make, and a number of clients that do one thing for a while. It checks what it is answered, but hashes nothing while
// time is measured. Start with Run.
package load
