#!/usr/bin/env bash
# Installs the programs that tests and `make cluster` need, and nothing that is there already:
#   scripts/tools.sh test|cluster|clients|logins|packages|observe|chart|kubernetes|lint|supply|bench|peers|benchstat ...
# Debian packages go to the system (root or sudo); Go programs, at the versions below, to
# ${HOLDFAST_TOOLS:-$HOME/.cache/holdfast/tools}, so that every checkout shares them.
set -euo pipefail

tools=${HOLDFAST_TOOLS:-$HOME/.cache/holdfast/tools}
mkdir -p "$tools"

versitygw=github.com/versity/versitygw/cmd/versitygw@v1.8.0
crane=github.com/google/go-containerregistry/cmd/crane@v0.22.1
oras=oras.land/oras/cmd/oras@v1.3.6
regctl=github.com/regclient/regclient/cmd/regctl@v0.11.7
nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.4
helm=helm.sh/helm/v3/cmd/helm@v3.22.0
kubeconform=github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0
govulncheck=golang.org/x/vuln/cmd/govulncheck@v1.9.0
cosign=github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
distribution=github.com/distribution/distribution/v3/cmd/registry@v3.1.2
benchstat=golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
golangci=github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*" >&2; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# retry runs a command up to three times: module proxies and mirrors time out under load.
retry() {
	local n
	for n in 1 2 3; do
		"$@" && return 0
		say "attempt $n of 3 failed: $*"
		sleep $((n * 3))
	done
	return 1
}

# apt_install PACKAGE... installs what is missing; daemons are not started by their packages.
apt_install() {
	local want=() p
	for p in "$@"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || want+=("$p")
	done
	[ ${#want[@]} -gt 0 ] || return 0
	say "installing Debian packages: ${want[*]}"
	local policy=/usr/sbin/policy-rc.d made=
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
		as_root chmod +x $policy
		made=1
	fi
	local rc=0
	{ retry as_root apt-get -qq update && retry as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends "${want[@]}" >/dev/null; } || rc=$?
	[ -z "$made" ] || as_root rm -f $policy
	return $rc
}

# go_install MODULE@VERSION builds one command, unless this version is there.
go_install() {
	local pkg=${1%@*} version=${1#*@}
	local name=${pkg##*/}
	[ "$(cat "$tools/.$name" 2>/dev/null)" = "$1" ] && [ -x "$tools/$name" ] && return 0
	say "building $name $version (once)"
	(cd / && GOFLAGS=-buildvcs=false CGO_ENABLED=0 GOBIN="$tools" retry go install -p 2 -ldflags='-s -w' "$1")
	printf '%s' "$1" >"$tools/.$name"
}

# oidc_provider puts the OpenID provider of the tests where they look for it, at the versions of its lock file, unless these are there.
oidc_provider() {
	command -v node >/dev/null && command -v npm >/dev/null || apt_install nodejs npm
	local from to=$tools/oidc-provider
	from=$(cd "$(dirname "$0")/../test/provider" && pwd)
	cmp -s "$from/package-lock.json" "$to/.installed" && return 0
	say "installing the OpenID provider of the tests (once)"
	mkdir -p "$to"
	cp "$from/package.json" "$from/package-lock.json" "$to"
	(cd "$to" && retry npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >/dev/null)
	cp "$from/package-lock.json" "$to/.installed"
}

# dynalite puts the server of DynamoDB's protocol where the tests look for it, at the versions of its lock file, unless these are there.
dynalite() {
	command -v node >/dev/null && command -v npm >/dev/null || apt_install nodejs npm
	local from to=$tools/dynalite
	from=$(cd "$(dirname "$0")/../test/cache" && pwd)
	cmp -s "$from/package-lock.json" "$to/.installed" && return 0
	say "installing the DynamoDB of the tests (once)"
	mkdir -p "$to"
	cp "$from/package.json" "$from/package-lock.json" "$to"
	(cd "$to" && retry npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >/dev/null)
	cp "$from/package-lock.json" "$to/.installed"
}

[ $# -gt 0 ] || { echo "usage: scripts/tools.sh cluster|test|clients|logins|ldap|openid|cache|packages|observe|chart|kubernetes|lint|supply|bench|peers|benchstat ..." >&2; exit 2; }
for set in "$@"; do
	case $set in
	cluster)
		apt_install haproxy curl iptables iproute2
		go_install "$versitygw"
		go_install "$crane"
		;;
	test)
		apt_install haproxy curl iptables iproute2 skopeo radosgw ceph-mon ceph-osd ceph-mgr ceph-common gcc libc6-dev prometheus
		apt_install systemd systemd-sysv systemd-container keepalived rpm
		apt_install slapd ldap-utils
		oidc_provider
		"$0" cache
		go_install "$versitygw"
		go_install "$crane"
		go_install "$oras"
		go_install "$nfpm"
		;;
	ldap) apt_install slapd ldap-utils ;;
	openid) oidc_provider ;;
	cache)
		apt_install redis-server redis-sentinel
		dynalite
		;;
	packages) go_install "$nfpm" ;;
	clients)
		apt_install haproxy curl skopeo podman buildah runc docker.io containerd busybox-static crun
		go_install "$versitygw"
		go_install "$crane"
		go_install "$oras"
		go_install "$regctl"
		go_install "$helm"
		;;
	logins) # cosign alone takes some 25 minutes of one core, once
		"$0" clients ldap openid
		go_install "$cosign"
		;;
	observe)
		apt_install curl prometheus # with promtool
		go_install "$versitygw"
		;;
	chart)
		go_install "$helm"
		go_install "$kubeconform"
		;;
	kubernetes)
		apt_install etcd-server containerd runc containernetworking-plugins iptables conntrack iproute2 busybox-static openssl
		go_install "$versitygw"
		go_install "$crane"
		go_install "$oras"
		go_install "$helm"
		"$(dirname "$0")"/../test/kubernetes/build.sh
		;;
	lint) go_install "$golangci" ;;
	supply) go_install "$govulncheck" ;;
	bench)
		apt_install haproxy nginx-light
		go_install "$versitygw"
		;;
	peers) go_install "$distribution" ;;
	benchstat) go_install "$benchstat" ;;
	*)
		echo "tools.sh: unknown set $set: want cluster, test, clients, logins, ldap, openid, cache, packages, observe, chart, kubernetes, lint, supply, bench, peers or benchstat" >&2
		exit 2
		;;
	esac
done
