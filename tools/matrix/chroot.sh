#!/bin/bash
# chroot.sh RELEASE: make the chroot of a Slurm release (22.05, 24.11 or 26.05) if it is not there, print its path.
#
# It is kept under $HETSLURM_MATRIX_DIR (build/matrix), and made again when its suite or packages change.
# Mirror and apt's settings are this machine's own; Debian's public mirror where it has none.
set -euo pipefail
tools=$(dirname "$(realpath "$0")")
say() { echo "hetslurm: $*" >&2; }

release=${1:?usage: chroot.sh RELEASE}
case $release in
22.05) suite=bookworm ;;
24.11) suite=trixie ;;
26.05) suite=forky ;;
*) say "there is no matrix for Slurm $release; it has 22.05, 24.11 and 26.05"; exit 2 ;;
esac
if [ "$(id -u)" -ne 0 ]; then
	say "chroots need root; run this as root, or with sudo"
	exit 1
fi
matrix=${HETSLURM_MATRIX_DIR:-$(realpath "$tools/../..")/build/matrix}
mkdir -p "$matrix"
matrix=$(realpath "$matrix")
root=$matrix/$release
packages=$(sed 's/#.*//' "$tools/packages" | xargs | tr ' ' ,)
wanted="$suite $packages"

exec 9>"$matrix/.lock-$release"
flock 9
if [ "$(cat "$root.made" 2>/dev/null)" = "$wanted" ] && [ -x "$root/bin/sh" ]; then
	echo "$root"
	exit 0
fi

# Several chroots may be made at once, but apt works for one.
flock "$matrix/.lock-apt" "$tools/../install-packages.sh" mmdebstrap >&2 9>&-
# The mirror of this machine's own release, if it is a Debian.
mirror=$(. /etc/os-release && [ "$ID" = debian ] && apt-get indextargets --format '$(RELEASE) $(REPO_URI)' \
	'Created-By: Packages' | awk -v own="${VERSION_CODENAME:-}" '$1 == own { print $2; exit }') || mirror=
new=$root.new
log=$matrix/$release.log
apt_settings=$(mktemp)
trap 'rm -f "$apt_settings"; rm -rf --one-file-system "$new"' EXIT
apt-config dump 2>/dev/null | grep '^Acquire::' >"$apt_settings" || true
say "making the chroot with Slurm $release ($suite), about a minute"
rm -f "$root.made"
rm -rf --one-file-system "$new" "$root"
mkdir "$new"
if ! mmdebstrap --variant=minbase --mode=root --format=directory --skip=cleanup/apt --include="$packages" \
	--aptopt='Apt::Install-Recommends false' --aptopt="$apt_settings" --dpkgopt=force-unsafe-io \
	"$suite" "$new" "${mirror:-http://deb.debian.org/debian}" >"$log" 2>&1 9>&-; then
	tail -n 20 "$log" >&2
	say "the chroot of $suite could not be made; the whole log is $log"
	exit 1
fi
# An authority that this machine trusts stands for a package index that it reaches.
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
	cp /etc/ssl/certs/ca-certificates.crt "$new/etc/ssl/certs/"
fi
mv "$new" "$root"
echo "$wanted" >"$root.made"
echo "$root"
