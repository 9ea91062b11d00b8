#!/bin/sh
# Install the Debian packages that are named on the command line and missing, and say which.
set -eu

missing=
for package in "$@"; do
	dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
		missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "hetslurm: this system has no apt-get; install the equivalent of:$missing" >&2
	exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "hetslurm: not root and no sudo; ask an admin to run: apt-get install$missing" >&2
		exit 1
	fi
	as_root=sudo
fi

echo "hetslurm: installing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
if ! { $as_root apt-get update -q && $as_root apt-get install -q -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 30 "$log" >&2
	echo "hetslurm: apt-get failed (above); tried to install:$missing" >&2
	exit 1
fi
