// Package ports finds loopback ports for servers that tests start.
package ports

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
)

// Searches begin together in many tests of a process: the first at a place that is left to chance, each later one apart from those before.
var searches, chance = new(atomic.Int64), rand.Int64N(1 << 30)

const apart = 32

// Free hands out n free loopback ports, all different. They lie below the range
// from which the kernel takes ports for connections and for who listens at port 0, so that nothing
// but another starter is likely to take one before its server does, or while its server is down.
func Free(ctx context.Context, n int) ([]int, error) {
	const first, last = 18000, 32000
	var lc net.ListenConfig
	var found []int
	begin := (searches.Add(1)*apart + chance) % (last - first)
	for port := first + int(begin); len(found) < n; port++ {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("ports: find a free one: %w", err)
		}
		if port >= last {
			port = first
		}
		l, err := lc.Listen(ctx, "tcp", Address(port))
		if err != nil {
			continue
		}
		defer l.Close() //nolint:errcheck // held so that no two calls find one port
		found = append(found, port)
	}
	return found, nil
}

// Address is where a server of a port is found.
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
