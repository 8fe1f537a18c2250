// Package cache starts the servers that replicas may share a cache in, on this machine's loopback: redis-server and redis-sentinel of Debian, and
// dynalite, which speaks DynamoDB's protocol. scripts/tools.sh installs them.
//
// Start with StartRedis, StartSentinel, StartCluster and StartDynamoDB.
package cache
