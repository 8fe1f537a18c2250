// Package drills breaks a running cluster in every way that an operator will meet,
// and checks that nothing which was acknowledged is lost: real processes (two S3
// gateways over one store, a fault proxy before each replica's, three replicas,
// HAProxy with deploy/haproxy/haproxy.cfg) under the mixed load of package load.
//
// A drill warms up, breaks something, holds, heals, recovers, reads everything back
// from each replica, and has package check judge the history. It writes one line of
// JSON to its log, and to $HOLDFAST_DRILLS_OUT/drills.jsonl where that is set, with
// the history beside it when it failed. A load below its minimum rate proves nothing,
// and fails.
//
// The collector's drills have images come and go (package load, Churn) while replicas and commands collect, with all ages divided, and package
// check knows what may vanish (Collected). They end with an account: what tags lead to, by the API, is what the bucket holds, to the byte.
//
// HOLDFAST_DRILLS is the size: empty for smoke, where times are short and bounds
// loose, so that a loaded machine passes; "full" for times and bounds as promised;
// "soak" lets TestSoak run for HOLDFAST_DRILLS_TIME. HOLDFAST_DRILLS_SEED repeats a
// run's plan. HOLDFAST_DRILLS_PREVIOUS is the commit of the version before this one (TestD31Versions; else
// the last tag). The network drills need iptables and the right to make a network
// namespace.
package drills
