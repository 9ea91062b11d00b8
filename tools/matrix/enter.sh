#!/bin/bash
# enter.sh COMMAND…: run by `run` as the first process of new namespaces: mount, build, run the command in $MATRIX_ROOT.
set -euo pipefail
root=$MATRIX_ROOT
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
for folder in dev/shm run tmp; do
	mount -t tmpfs -o mode=1777 tmpfs "$root/$folder"
done
for file in /etc/resolv.conf /etc/hosts; do
	if [ -e "$file" ]; then cat "$file" >"$root$file"; fi
done
for path in $MATRIX_FOLDERS; do
	if [ -d "$path" ]; then
		mkdir -p "$root$path"
	else
		mkdir -p "$root$(dirname "$path")"
		touch "$root$path"
	fi
	mount --bind -o ro "$path" "$root$path"
done
inside() { (cd "$root/hetslurm" && chroot "$root" "$1" -c 'cd /hetslurm && exec "$@"' sh "${@:2}" 9>&-); }

# The command's own variables come with it: `env -i NAME=… COMMAND…`.
settings=()
while [[ $1 == env || $1 == -i || $1 == *=* ]]; do
	settings+=("$1")
	shift
done
log=$root/hetslurm/build/matrix-setup.log
mkdir -p "$root/hetslurm/build"
if ! inside /bin/sh "${settings[@]}" make setup EXTRAS=test >"$log" 2>&1; then
	tail -n 30 "$log" >&2
	echo "hetslurm: the build in the chroot failed; the whole log is $log" >&2
	exit 1
fi
# Not exec: the first process of a namespace must reap those whose parents have gone, and bash does.
inside /bin/sh "${settings[@]}" "$@"
exit $?
