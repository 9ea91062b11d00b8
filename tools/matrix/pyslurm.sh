#!/bin/sh
# pyslurm.sh SOURCE: inside a chroot, build pyslurm from its source tree and install it into .venv.
#
# Built once for a version of the source; the wheel stays in build/pyslurm.
set -eu
source=${1:?usage: pyslurm.sh SOURCE}
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$source/pyslurm/version.py")
made=build/pyslurm
mkdir -p "$made"
if ! ls "$made/pyslurm-$version-"*.whl >/dev/null 2>&1; then
	echo "hetslurm: building pyslurm $version, a few minutes" >&2
	rm -rf "$made/source"
	cp -r "$source" "$made/source"
	# Its declarations of callbacks are refused by Cython 3.1.
	test -x "$made/venv/bin/python" || python3 -m venv "$made/venv"
	"$made/venv/bin/pip" install -q 'Cython<3.1' 'setuptools>=59.2' wheel packaging
	library=$(dirname "$(find /usr/lib /usr/local/lib -name libslurmfull.so | head -n 1)")
	(
		cd "$made/source"
		SLURM_LIB_DIR=$library PYSLURM_BUILD_JOBS=2 CFLAGS='-O0 -g0 -w' ../venv/bin/pip wheel -q --no-deps --no-build-isolation -w .. .
	) >"$made/build.log" 2>&1 || {
		tail -n 20 "$made/build.log" >&2
		exit 1
	}
fi
.venv/bin/pip install -q --no-deps --force-reinstall "$made/pyslurm-$version-"*.whl
