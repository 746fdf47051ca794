#!/bin/sh
# aarch64_root.sh DIR: the libraries that the core and the reading of networks need, for AArch64 as Debian packages
# them, unpacked under DIR.
#
# It is not installed: apt works here with its own state, as if on an empty AArch64 system, and needs no root.
set -eu
mkdir -p "$1"
root=$(cd "$1" && pwd)
packages="nettle-dev libprotobuf-c-dev libcjson-dev libcjson1"
[ "$(cat "$root/complete" 2>/dev/null)" != "$packages" ] || exit 0
apt="$root/apt"
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
: >"$apt/status"
cat >"$apt/conf" <<END
APT::Architecture "arm64";
APT::Architectures "arm64";
Dir::State "$apt";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Debug::NoLocking "true";
APT::Sandbox::User "";
END
export APT_CONFIG="$apt/conf"
apt-get -q -q update
# shellcheck disable=SC2086
(cd "$apt" && apt-get -q -q download $packages)
for deb in "$apt"/*.deb; do dpkg-deb -x "$deb" "$root"; done
rm -r "$apt"
echo "$packages" >"$root/complete"
