#!/usr/bin/env bash
# Runs the Go benchmarks of all packages, each COUNT times, and compares them with bench-out/go-base.txt by benchstat:
#   scripts/bench-go.sh COUNT [anything: write the base anew]
# Where there is no base, this run becomes it. ONLY=regular expression chooses benchmarks.
set -euo pipefail
cd "$(dirname "$0")/.."

count=${1:?usage: scripts/bench-go.sh COUNT [base]}
tools=${HOLDFAST_TOOLS:-$HOME/.cache/holdfast/tools}
mkdir -p bench-out
mapfile -t packages < <(grep -rlE --include='*_test.go' '^func Benchmark' . | xargs -rn1 dirname | sort -u)
[ ${#packages[@]} -gt 0 ] || { echo "bench-go.sh: no package has a benchmark" >&2; exit 1; }

# One after the other: two at once would measure each other.
go run ./test/cmd/withs3 -q -store versitygw -- go test -p 1 -run '^$' -bench "${ONLY:-.}" -benchmem -count "$count" -timeout 60m "${packages[@]}" |
	tee bench-out/go-new.txt
if [ -n "${2:-}" ] || [ ! -e bench-out/go-base.txt ]; then
	mv bench-out/go-new.txt bench-out/go-base.txt
	echo "bench-go.sh: this run is the base now: bench-out/go-base.txt" >&2
	exit 0
fi
"$tools/benchstat" bench-out/go-base.txt bench-out/go-new.txt
