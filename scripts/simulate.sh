#!/bin/sh
# The simulation at its full size: all scenarios within two preemptions and a fault, as far as the time goes
# (two minutes on two cores), then the planted bugs, each of which must be found.
# With a duration, and perhaps a first seed, it walks by seeds for so long instead: simulate.sh 30m 4711
set -eu
cd "$(dirname "$0")/.."
show='interleavings|found|is broken|^ +|^(ok|FAIL|---)'
run() {
	status=0
	go test -p 2 -count=1 -v "$@" >"$log" 2>&1 || status=$?
	grep -E "$show" "$log" | grep -vE '^ *--- PASS|^=== ' | sed -E 's/^ *[a-z_]+_test\.go:[0-9]+: //' || true
	return $status
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ $# -gt 0 ]; then
	run -timeout 0 -run TestSeeds ./test/simulate -duration "$1" -seed "${2:-1}"
	exit
fi
run -timeout 10m ./test/simulate -full
run -timeout 10m ./test/simulate/plant -all
