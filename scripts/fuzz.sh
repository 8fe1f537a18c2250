#!/usr/bin/env bash
# Runs every fuzz target of the project for a time: scripts/fuzz.sh 20s
set -euo pipefail
for file in $(grep -rlE '^func Fuzz' --include='*_test.go' internal); do
	for target in $(grep -oE '^func Fuzz[A-Za-z0-9]*' "$file" | cut -d' ' -f2); do
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-20s}" -fuzzminimizetime 1s "./$(dirname "$file")"
	done
done
