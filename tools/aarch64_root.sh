#!/bin/sh
# aarch64_root.sh DIR: the one library that the core needs, for AArch64 as Debian packages it, unpacked under DIR.
#
# It is not installed: apt works here with its own state, as if on an empty AArch64 system, and needs no root.
set -eu
mkdir -p "$1"
root=$(cd "$1" && pwd)
[ ! -e "$root/complete" ] || exit 0
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
(cd "$apt" && apt-get -q -q download nettle-dev)
dpkg-deb -x "$apt"/nettle-dev_*.deb "$root"
rm -r "$apt"
touch "$root/complete"
