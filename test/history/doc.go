// History checks a registry by what its clients see. Many of them push, pull, mount, move tags, delete and list at once,
// through the balancer and at every replica, each step of a flow at another by chance; every call is recorded, and the
// history is judged by the rules of package judge. In the end everything is read back from each replica.
//
//	go run ./test/history                                  a cluster of three, for a minute
//	go run ./test/history -faults -seed 7 -time 5m         with replicas killed and stopped, and a store that fails
//	go run ./test/history -target http://lb,http://r1      an installation that runs; the balancer first
//	go run ./test/history -zot ./zot                       three replicas of zot, which lose tags
//	go run ./test/history -check history.jsonl             judges a history again
//
// It exits with 0 when all rules hold, 1 when one is broken, 2 when it could not work, and 3 when too little was asked, or
// the time was not enough, to say anything.
package main
