#!/usr/bin/env bash
# Makes deb and rpm packages for amd64 and arm64, or for those that are named: scripts/packages.sh [DIR [ARCH ...]]. The same commit
# gives the same bytes: times are the commit's, or SOURCE_DATE_EPOCH.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-bin/packages}
[ $# -gt 0 ] && shift
arches=("${@:-amd64}")
[ $# -gt 0 ] || arches=(amd64 arm64)

tools=${HOLDFAST_TOOLS:-$HOME/.cache/holdfast/tools}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
described=$(git describe --tags --always --dirty 2>/dev/null || echo unknown)
version=${HOLDFAST_VERSION:-$described}
# A package's version begins with a digit and has no dash: v1.2.3-4-gabc is 1.2.3+4.gabc, a commit without a tag 0.0.0+gabc.
packaged=${version#v}
case $packaged in
[0-9]*.*) packaged=${packaged/-/+} && packaged=${packaged//-/.} ;;
*) packaged=0.0.0+g${packaged//-/.} ;;
esac
VERSION=$packaged
MTIME=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
export VERSION MTIME ARCH BINARY BILL
umask 022
mkdir -p "$out"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

# The exporter of traces brings gRPC, whose pages for net/trace would switch off the linker's dead-code removal.
build() { # ARCH FILE
	GOFLAGS=-buildvcs=false CGO_ENABLED=0 GOOS=linux GOARCH=$1 go build -p 2 -trimpath -tags grpcnotrace -ldflags "-s -w -buildid= -X main.version=$version" -o "$2" ./cmd/holdfast
}

# manual writes man pages and completions, and says where they go.
manual() {
	local host
	host=$stage/holdfast-$(go env GOHOSTARCH)
	build "$(go env GOHOSTARCH)" "$host"
	"$host" manual "$stage/manual" >/dev/null
	gzip -9nr "$stage/manual/man1"
	local info="file_info: {mode: 0644, mtime: \"$MTIME\"}" f
	for f in "$stage"/manual/man1/*.gz; do
		echo "  - {src: \"$f\", dst: \"/usr/share/man/man1/${f##*/}\", $info}"
	done
	cat <<-EOF
		  - {src: "$stage/manual/completions/holdfast", dst: /usr/share/bash-completion/completions/holdfast, $info}
		  - {src: "$stage/manual/completions/_holdfast", dst: /usr/share/zsh/vendor-completions/_holdfast, $info}
		  - {src: "$stage/manual/completions/holdfast.fish", dst: /usr/share/fish/vendor_completions.d/holdfast.fish, $info}
	EOF
}

cp deploy/packages/nfpm.yaml "$stage/nfpm.yaml"
manual >>"$stage/nfpm.yaml"
for ARCH in "${arches[@]}"; do
	BINARY=$stage/holdfast-$ARCH
	[ -x "$BINARY" ] || build "$ARCH" "$BINARY"
	BILL=$stage/$ARCH.cdx.json
	GOFLAGS=-buildvcs=false go run ./build/supply -q -binary "$BINARY" -version "$version" -sbom "$BILL"
	# The template is filled in here: not every field of it is expanded by nfpm.
	sed -e "s|\${ARCH}|$ARCH|; s|\${VERSION}|$VERSION|; s|\${BINARY}|$BINARY|; s|\${BILL}|$BILL|; s|\${MTIME}|$MTIME|g" "$stage/nfpm.yaml" >"$stage/$ARCH.yaml"
	for packager in ${HOLDFAST_PACKAGES:-deb rpm}; do
		"$tools/nfpm" package --config "$stage/$ARCH.yaml" --packager $packager --target "$out/" >/dev/null
	done
done
(cd "$out" && sha256sum -- holdfast* >SHA256SUMS)
ls -l "$out"
