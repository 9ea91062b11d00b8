"""The mount table: what a path leads to, and which file systems the kernel gave up writing to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.host.disks import Disks, local_disks, read_only_disks
from hetslurm.host.fullness import used_ratio
from hetslurm.host.mountinfo import Mount, mounts_on_way, parse_fstab, parse_mountinfo

Golden = Callable[[str], str]


def _space(blocks: int = 100, free: int = 50, avail: int = 50, files: int = 0, ffree: int = 0):  # type: ignore[no-untyped-def]
    return SimpleNamespace(f_blocks=blocks, f_bfree=free, f_bavail=avail, f_files=files, f_ffree=ffree)


def _line(
    options: str, super_options: str, *, point: str = "/d", device: str = "8:1", kind: str = "ext4"
) -> str:
    number = 30 + sum(map(ord, point + options))
    return f"{number} 28 {device} / {point} {options} shared:1 - {kind} /dev/sda1 {super_options}\n"


ROOT = "28 1 259:3 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p3 rw\n"


def _turned(*lines: str, fstab: str = "") -> tuple[str, ...]:
    return read_only_disks(parse_mountinfo(ROOT + "".join(lines)), parse_fstab(fstab))


def test_the_table_is_read_with_its_escapes(golden: Golden) -> None:
    mounts = parse_mountinfo(golden("mountinfo"))
    assert len(mounts) == 19
    reference = next(mount for mount in mounts if mount.id == 47)
    assert reference.point == "/media/reference set"
    assert (reference.type, reference.device, reference.source) == ("ext4", "259:6", "/dev/nvme2n1")
    assert reference.options == {"ro", "relatime"}


def test_a_path_leads_to_the_mount_that_lies_on_top(golden: Golden) -> None:
    mounts = parse_mountinfo(golden("mountinfo"))
    assert [mount.id for mount in mounts_on_way(mounts, "/data")] == [28, 60, 61]
    assert [mount.id for mount in mounts_on_way(mounts, "/boot/efi")] == [28, 41, 43]
    assert [mount.id for mount in mounts_on_way(mounts, "/database")] == [28]


def test_a_mount_hides_older_ones_below_its_point() -> None:
    hidden = "40 28 8:1 / /a/b rw - ext4 /dev/sda1 rw\n41 28 0:9 / /a rw - nfs4 host:/a rw\n"
    assert [mount.id for mount in mounts_on_way(parse_mountinfo(ROOT + hidden), "/a/b")] == [28, 41]


def test_only_disks_that_no_network_file_system_leads_to_are_touched(golden: Golden) -> None:
    points = [disk.point for disk in local_disks(parse_mountinfo(golden("mountinfo")))]
    # Not /home/cache (below NFS), /data (under NFS), /local/jobs (the same disk again), an image, /dev/shm.
    assert points == ["/run", "/", "/boot", "/boot/efi", "/local", "/media/reference set"]


def test_no_path_of_a_network_file_system_is_ever_asked(golden: Golden, make_tree) -> None:  # type: ignore[no-untyped-def]
    asked: list[str] = []

    def stat(path: str):  # type: ignore[no-untyped-def]
        asked.append(path)
        return _space()

    base = str(make_tree({"proc/self/mountinfo": golden("mountinfo")}))
    values, _ = Disks(base, stat).read()
    assert values == {"disk_used_ratio": 0.5, "read_only_disks": 0.0}
    assert {path.removeprefix(base) for path in asked} == {"/run", "/", "/boot", "/boot/efi", "/local"}


def test_a_disk_that_the_kernel_turned_read_only_is_found() -> None:
    assert _turned(_line("rw,relatime", "ro,errors=remount-ro")) == ("/d",)


@pytest.mark.parametrize("word", ["emergency_ro", "shutdown"])
def test_a_disk_that_newer_kernels_stopped_writing_to_is_found(word: str) -> None:
    assert _turned(_line("rw,relatime", f"rw,errors=remount-ro,{word}")) == ("/d",)


def test_a_disk_that_an_admin_mounted_read_only_is_well() -> None:
    assert _turned(_line("ro,relatime", "ro")) == ()
    assert _turned(_line("ro,relatime", "ro"), fstab="/dev/sda1 /d ext4 ro,nofail 0 2\n") == ()


def test_a_second_mount_of_a_disk_that_an_admin_made_read_only_is_well() -> None:
    assert _turned(_line("ro", "ro"), _line("rw", "ro", point="/e")) == ()


def test_an_image_that_can_only_be_read_is_well() -> None:
    assert _turned(_line("rw", "ro", kind="squashfs")) == ()


def test_a_read_only_mount_of_a_writable_disk_is_well() -> None:
    assert _turned(_line("ro", "rw")) == ()


def test_a_disk_that_fstab_wants_writable_and_is_not_is_found() -> None:
    assert _turned(_line("ro", "ro"), fstab="# disks\nUUID=1 /d ext4 defaults 0 2\n") == ("/d",)


def test_a_file_system_that_is_mounted_twice_counts_once() -> None:
    assert _turned(_line("rw", "ro"), _line("rw", "ro", point="/e")) == ("/d",)


def test_the_fullest_disk_is_named(make_tree) -> None:  # type: ignore[no-untyped-def]
    base = str(make_tree({"proc/self/mountinfo": ROOT + _line("rw", "rw")}))
    stats = {base + "/": _space(free=60, avail=60), base + "/d": _space(files=1000, ffree=30)}
    values, facts = Disks(base, stats.__getitem__).read()
    assert values["disk_used_ratio"] == pytest.approx(0.97)
    assert facts == {"fullest_disk": "/d"}


def test_a_disk_that_does_not_answer_leaves_the_others_judged(make_tree) -> None:  # type: ignore[no-untyped-def]
    base = str(make_tree({"proc/self/mountinfo": ROOT + _line("rw", "rw")}))

    def stat(path: str):  # type: ignore[no-untyped-def]
        if path.endswith("/d"):
            raise OSError(5, "Input/output error")
        return _space(free=60, avail=60)

    assert Disks(base, stat).read()[0]["disk_used_ratio"] == pytest.approx(0.4)


def test_disks_are_unknown_without_a_table(make_tree) -> None:  # type: ignore[no-untyped-def]
    assert Disks(str(make_tree({}))).read() == ({}, {})


def test_what_changes_in_the_table_shows_in_the_next_sample(make_tree) -> None:  # type: ignore[no-untyped-def]
    root: Path = make_tree({"proc/self/mountinfo": ROOT + _line("rw", "rw")})
    disks = Disks(str(root), lambda path: _space())
    assert disks.read()[0]["read_only_disks"] == 0
    (root / "proc/self/mountinfo").write_text(ROOT + _line("rw", "ro"))
    values, facts = disks.read()
    assert values["read_only_disks"] == 1
    assert facts["read_only"] == "/d"


def test_space_that_only_root_may_use_is_no_space() -> None:
    assert used_ratio(_space(blocks=100, free=5, avail=0)) == 1.0


def test_inodes_count_where_they_are_fuller() -> None:
    assert used_ratio(_space(files=10, ffree=1)) == pytest.approx(0.9)


@pytest.mark.parametrize(("files", "ffree"), [(0, 0), (10, 20), (10, -1)])
def test_inodes_that_cannot_be_counted_do_not_count(files: int, ffree: int) -> None:
    assert used_ratio(_space(files=files, ffree=ffree)) == 0.5


def test_a_file_system_without_blocks_or_inodes_has_no_fullness() -> None:
    assert used_ratio(_space(blocks=0, free=0, avail=0)) != 0


def test_the_table_of_this_machine_is_read_whole() -> None:
    text = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    mounts = parse_mountinfo(text)
    assert len(mounts) == len(text.splitlines())
    assert mounts_on_way(mounts, "/proc")[-1].type == "proc"
    assert os.path.ismount(mounts_on_way(mounts, "/sys")[-1].point)


@given(st.text())
def test_no_text_breaks_a_parser(text: str) -> None:
    mounts_on_way(parse_mountinfo(text), "/home")
    parse_fstab(text)


_NUMBER = st.integers(1, 6)
_POINT = st.sampled_from(["/", "/a", "/a/b", "/a/b/c", "/b"])
_MOUNT = st.builds(
    lambda number, parent, point: Mount(
        number, parent, "8:1", point, frozenset({"rw"}), "ext4", "", frozenset({"rw"})
    ),
    _NUMBER,
    _NUMBER,
    _POINT,
)


@given(st.lists(_MOUNT), _POINT)
def test_a_way_ends_whatever_the_table_says(mounts: list[Mount], path: str) -> None:
    way = mounts_on_way(mounts, path)
    assert len(way) <= len(mounts)
    assert all(mount.point in {"/", path} or path.startswith(mount.point + "/") for mount in way)
