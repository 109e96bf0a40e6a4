"""How much memory and disk there is: read from made-up files of Linux, and from systems that do not say."""

import os
import shutil

import pytest

from skcnn.cache import _room
from skcnn.cache._room import available_memory, free_disk

GIB = 2**30


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Write files of /proc and /sys: 16 GiB available, and no control group, unless they say otherwise."""
    monkeypatch.setattr(_room, "MEMINFO", str(tmp_path / "meminfo"))
    monkeypatch.setattr(_room, "OWN_GROUPS", str(tmp_path / "cgroup"))
    monkeypatch.setattr(_room, "GROUPS", str(tmp_path / "sys"))

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    write(
        {"meminfo": f"MemTotal:       99999999 kB\nMemAvailable:   {16 * GIB // 1024} kB\nHugePages_Total:       0\n"}
    )
    return write


def test_what_the_kernel_says(system):
    assert available_memory() == 16 * GIB


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        # Version 2: what was read and not used lately counts as available.
        (
            {
                "cgroup": "0::/job\n",
                "sys/job/memory.max": f"{8 * GIB}\n",
                "sys/job/memory.current": f"{3 * GIB}\n",
                "sys/job/memory.stat": f"anon 5\ninactive_file {GIB}\nactive_file 7\n",
            },
            6 * GIB,
        ),
        ({"cgroup": "0::/job\n", "sys/job/memory.max": "max\n", "sys/job/memory.current": "5\n"}, 16 * GIB),
        # A group within a group: the tightest counts, here the outer one.
        (
            {
                "cgroup": "0::/user/job\n",
                "sys/user/job/memory.max": "max\n",
                "sys/user/job/memory.current": "5\n",
                "sys/user/memory.max": f"{4 * GIB}\n",
                "sys/user/memory.current": f"{GIB}\n",
            },
            3 * GIB,
        ),
        # Within a container of its own name space the group is the root.
        ({"cgroup": "0::/\n", "sys/memory.max": f"{2 * GIB}\n", "sys/memory.current": f"{GIB}\n"}, GIB),
        # Version 1, beside kinds that do not matter.
        (
            {
                "cgroup": "9:name=systemd:/job\n4:memory:/job\n1:cpu:/job\n0::/job\n",
                "sys/memory/job/memory.limit_in_bytes": f"{5 * GIB}\n",
                "sys/memory/job/memory.usage_in_bytes": f"{4 * GIB}\n",
                "sys/memory/job/memory.stat": f"inactive_file 3\ntotal_inactive_file {GIB // 2}\n",
            },
            3 * GIB // 2,
        ),
        # Version 1 in a container: the path is the host's, and the files are at the root.
        (
            {
                "cgroup": "4:memory:/docker/1f\n",
                "sys/memory/memory.limit_in_bytes": f"{GIB}\n",
                "sys/memory/memory.usage_in_bytes": "0\n",
            },
            GIB,
        ),
        # Version 1 without a limit.
        (
            {
                "cgroup": "4:memory:/\n",
                "sys/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/memory/memory.usage_in_bytes": f"{GIB}\n",
            },
            16 * GIB,
        ),
        # More is used than allowed.
        ({"cgroup": "0::/job\n", "sys/job/memory.max": "10\n", "sys/job/memory.current": "20\n"}, 0),
        # Files that say nothing.
        ({"cgroup": "\nnonsense\n0::/../other\n3:memory\n", "sys/memory.max": "", "sys/memory.current": "?"}, 16 * GIB),
        ({"cgroup": "0::/job\n", "sys/job/memory.max": "10\n"}, 16 * GIB),
    ],
)
def test_control_groups(system, files, expected):
    system(files)
    assert available_memory() == expected


@pytest.mark.parametrize("text", ["", "MemTotal: 5 kB\n", "MemAvailable:\n", "MemAvailable: unknown\n"])
def test_half_of_the_machine_where_the_kernel_does_not_say(system, monkeypatch, text):
    system({"meminfo": text})
    values = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", values.__getitem__, raising=False)
    assert available_memory() == 2_048_000


@pytest.mark.parametrize("error", [ValueError, OSError, None])
def test_a_system_that_does_not_tell(system, monkeypatch, error):
    def refuse(_):
        raise error

    system({"meminfo": ""})
    if error is None:
        monkeypatch.delattr(os, "sysconf", raising=False)
    else:
        monkeypatch.setattr(os, "sysconf", refuse, raising=False)
    assert available_memory() == 4 * GIB


def test_this_machine():
    assert 2**20 < available_memory() < 2**50


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path, monkeypatch):
    asked = []
    usage = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: asked.append(folder) or usage(folder))
    assert 0 < free_disk(tmp_path / "new" / "folder") <= usage(tmp_path).total
    assert free_disk(str(tmp_path)) > 0
    assert asked == [tmp_path, tmp_path]


def test_a_disk_that_cannot_be_asked(tmp_path, monkeypatch):
    def refuse(_):
        raise OSError("stale handle")

    monkeypatch.setattr(shutil, "disk_usage", refuse)
    with pytest.raises(OSError, match="stale handle"):
        free_disk(tmp_path)
