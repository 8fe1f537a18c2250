#!/usr/bin/env bash
# Runs every fuzz target of the project, one after the other: scripts/fuzz.sh [time for each, default 10m] [part of a target's name]
# A line for each target; what a failed one said, and the input that it left in testdata/fuzz, follow its line.
set -uo pipefail
cd "$(dirname "$0")/.."
time=${1:-10m} only=${2:-}
output=$(mktemp)
trap 'rm -f "$output"' EXIT
ran=0 failed=0
# Inputs are made small only where they fail; -parallel leaves the machine usable.
fuzz() {
	go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 1s -parallel "${FUZZ_PARALLEL:-2}" "./$1" >"$output" 2>&1
}
# On a busy machine go test takes the end of the time for a failure when it comes in the middle of a run: then there is no input that fails.
ended() { grep -qE '^ +context deadline exceeded$' "$output" && ! grep -q 'Failing input' "$output"; }
while IFS=: read -r file target; do
	[[ $target == *"$only"* ]] || continue
	dir=$(dirname "$file")
	ran=$((ran + 1))
	if fuzz "$dir" "$target" || { ended && fuzz "$dir" "$target"; } || { ended && fuzz "$dir" "$target"; }; then
		result=ok
	else
		result=FAIL
		failed=$((failed + 1))
	fi
	last=$(grep -E '^fuzz: elapsed: .*execs' "$output" | tail -n 1 | sed -E 's/.*execs: ([0-9]+) .*new interesting: ([0-9]+) \(total: ([0-9]+)\).*/\1 runs, \2 new inputs, \3 in all/')
	printf '%-4s  %-20s  %-22s  %s\n' "$result" "$dir" "$target" "$last"
	[[ $result == ok ]] || sed 's/^/      /' "$output"
done < <(grep -rhoE --with-filename '^func Fuzz[A-Za-z0-9_]*' --include='*_test.go' build cmd internal test | sed 's/func //' | sort)
echo "$ran targets, $failed failed"
[[ $ran -gt 0 && $failed -eq 0 ]]
