#!/usr/bin/env bash
# Checks what the program is made of, and prints what was found, step by step: scripts/supply.sh [STEP ...]. What could not be checked is no success:
# the exit code is 1 when something is wrong, 3 when something could not be asked.
#   modules       the modules are those of go.sum
#   licences      each module's licence is allowed
#   bill          the bill of materials of a binary: bin/holdfast.cdx.json
#   reproducible  two builds, in two folders with two caches, are one hash; some minutes
#   gosec         its rules, and those about weak cryptography, over all of the code
#   govulncheck   known vulnerabilities that the code reaches, and in the binary. GOVULNDB names a database, as file:///path, where the public one is out of reach
set -uo pipefail
cd "$(dirname "$0")/.."
tools=${HOLDFAST_TOOLS:-$HOME/.cache/holdfast/tools}
export GOFLAGS=-buildvcs=false CGO_ENABLED=0
flags=(-trimpath -tags grpcnotrace -ldflags '-s -w -buildid= -X main.version=supply')
steps=("$@")
[ $# -gt 0 ] || steps=(modules licences bill reproducible gosec govulncheck)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
wrong=0 unasked=0

report() { # OUTCOME STEP TEXT
	printf '%-12s  %-13s %s\n' "$1" "$2" "$3"
	case $1 in
	failed) wrong=1 ;;
	"NOT CHECKED") unasked=1 ;;
	esac
}

# try runs a step and says what became of it; what it printed follows where it failed.
try() { # STEP TEXT COMMAND...
	local step=$1 text=$2
	shift 2
	if "$@" >"$work/out" 2>&1; then
		report ok "$step" "$text"
	else
		report failed "$step" "$text"
		sed 's/^/      /' "$work/out"
	fi
}

bill() {
	mkdir -p bin && go build -p 2 "${flags[@]}" -o "$work/holdfast" ./cmd/holdfast &&
		go run ./build/supply -q -binary "$work/holdfast" -version "$(git describe --tags --always --dirty 2>/dev/null || echo unknown)" -sbom bin/holdfast.cdx.json
}

# once builds the committed and uncommitted sources in a folder and with a cache of their own.
once() { # NAME
	mkdir -p "$work/$1/src" && { git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$work/$1/src"; } &&
		(cd "$work/$1/src" && GOCACHE=$work/$1/cache go build -p 2 "${flags[@]}" -o "$work/$1/holdfast" ./cmd/holdfast)
}

reproducible() {
	once one && once another/folder || return 1
	local a b
	a=$(sha256sum <"$work/one/holdfast") b=$(sha256sum <"$work/another/folder/holdfast")
	echo "$a / $b"
	[ "$a" = "$b" ]
}

gosec() {
	scripts/tools.sh lint && "$tools/golangci-lint" run --allow-parallel-runners --enable-only gosec
}

# vulnerabilities asks for known ones. A database that does not answer is told apart from one that has found something.
vulnerabilities() {
	local db=() code
	[ -z "${GOVULNDB:-}" ] || db=(-db "$GOVULNDB")
	if ! scripts/tools.sh supply >"$work/out" 2>&1; then
		report "NOT CHECKED" govulncheck "the program could not be installed"
		return
	fi
	"$tools/govulncheck" ${db[@]+"${db[@]}"} -tags grpcnotrace ./cmd/... >"$work/out" 2>&1
	code=$?
	if [ $code = 0 ] && { go build -p 2 -trimpath -tags grpcnotrace -o "$work/symbols" ./cmd/holdfast >"$work/out" 2>&1 || code=1; } && [ $code = 0 ]; then
		"$tools/govulncheck" ${db[@]+"${db[@]}"} -mode=binary "$work/symbols" >"$work/out" 2>&1
		code=$?
	fi
	case $code in
	0) report ok govulncheck "no known vulnerability in the code or the binary" ;;
	3)
		report failed govulncheck "known vulnerabilities"
		sed 's/^/      /' "$work/out"
		;;
	*)
		report "NOT CHECKED" govulncheck "it could not ask; its last words follow"
		tail -n 3 "$work/out" | sed 's/^/      /'
		;;
	esac
}

for step in "${steps[@]}"; do
	case $step in
	modules) try modules "the modules are those of go.sum" go mod verify ;;
	licences) try licences "every licence is allowed" go run ./build/supply -q ;;
	bill) try bill "bin/holdfast.cdx.json" bill ;;
	reproducible) try reproducible "two builds are one hash" reproducible ;;
	gosec) try gosec "nothing found" gosec ;;
	govulncheck) vulnerabilities ;;
	*)
		echo "supply.sh: unknown step $step" >&2
		exit 2
		;;
	esac
done
[ $wrong = 0 ] || exit 1
[ $unasked = 0 ] || { echo "not everything was checked: see above" && exit 3; }
