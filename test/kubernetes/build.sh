#!/usr/bin/env bash
# Builds the parts of Kubernetes that `make kubernetes` runs, from the module k8s.io/kubernetes, once:
# some 12 minutes of one core. The binaries go to ${HOLDFAST_TOOLS:-$HOME/.cache/holdfast/tools}/kubernetes.
set -euo pipefail

# 1.34: the last that accepts cgroup v1 without being asked and containerd 1.x, as Debian 12 has them.
minor=34 patch=4
version=v1.$minor.$patch

out=${HOLDFAST_TOOLS:-$HOME/.cache/holdfast/tools}/kubernetes
commands="kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl"

[ "$(cat "$out/.version" 2>/dev/null)" = $version ] && exit 0

# retry runs a command up to three times: module proxies time out under load.
retry() {
	local n
	for n in 1 2 3; do
		"$@" && return 0
		sleep $((n * 3))
	done
	return 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

export GOFLAGS=-mod=mod CGO_ENABLED=0
go mod init build >/dev/null 2>&1
go mod edit -require k8s.io/kubernetes@$version

# Kubernetes' own go.mod takes its libraries from ./staging, which a module that requires it cannot see:
# they are published as modules of their own, with 0 for the 1 of the version.
retry go mod download k8s.io/kubernetes
own=$(go env GOMODCACHE)/k8s.io/kubernetes@$version/go.mod
for library in $(sed -n 's|^\t\(k8s.io/[a-z0-9-]*\) => ./staging/.*|\1|p' "$own"); do
	go mod edit -replace "$library=$library@v0.$minor.$patch"
done
go mod edit -go "$(sed -n 's/^go //p' "$own")"
for command in $commands; do go mod edit -tool "k8s.io/kubernetes/cmd/$command"; done
retry go mod tidy

mkdir -p "$out"
set --
for command in $commands; do set -- "$@" "k8s.io/kubernetes/cmd/$command"; done
v=k8s.io/component-base/version
go build -p 2 -trimpath -o "$out/" \
	-ldflags "-s -w -X $v.gitVersion=$version -X $v.gitMajor=1 -X $v.gitMinor=$minor" "$@"
printf %s $version >"$out/.version"
