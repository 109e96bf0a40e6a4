"""How much memory and disk there is, for caches that decide by themselves how much they take of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

#: Bytes of memory that count as available where the system does not say.
ASSUMED_MEMORY = 4 * 2**30

#: Where Linux says what is available, and the folders of the control groups that bound it.
MEMINFO = "/proc/meminfo"
OWN_GROUPS = "/proc/self/cgroup"
GROUPS = "/sys/fs/cgroup"


def available_memory() -> int:
    """Return how many bytes of memory this process could take without swapping.

    On Linux that is what the kernel says, or what the control groups of the process (containers, batch systems) leave
    where that is less. Elsewhere it is half of the machine's memory, and :data:`ASSUMED_MEMORY` where the system does
    not tell how much it has.
    """
    return max(0, min([_machine_memory(), *_group_memory()]))


def free_disk(folder: str | os.PathLike[str]) -> int:
    """Return how many bytes are free for this user on the disk where a folder is or would be made.

    Raises
    ------
    OSError
        If the system does not say.
    """
    folder = Path(folder)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _machine_memory() -> int:
    found = _numbers(MEMINFO).get("MemAvailable:")
    if found is not None:
        return found * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return ASSUMED_MEMORY


def _group_memory() -> Iterator[int]:
    """Yield what each control group leaves that this process is in, of version 2 and of version 1."""
    for line in _lines(OWN_GROUPS):
        kinds, _, path = line.partition(":")[2].partition(":")  # "4:memory:/job", "0::/job"
        if kinds not in ("", "memory"):
            continue
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if kinds else ("memory.max", "memory.current")
        inner = Path(path.lstrip("/"))
        for group in (inner, *inner.parents):
            folder = Path(GROUPS, kinds) / group
            limit, used = (next(iter(_lines(folder / name)), "") for name in names)
            if limit.isdigit() and used.isdigit():  # "max" is no limit
                # Files that were read count as used, though the kernel gives up those not used lately.
                files = _numbers(folder / "memory.stat").get("total_inactive_file" if kinds else "inactive_file", 0)
                yield int(limit) - int(used) + files


def _numbers(path: str | os.PathLike[str]) -> dict[str, int]:
    """Return the numbers of a file that has a name and a number in each line."""
    words = [line.split() for line in _lines(path)]
    return {word[0]: int(word[1]) for word in words if len(word) > 1 and word[1].isdigit()}


def _lines(path: str | os.PathLike[str]) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except (OSError, ValueError):
        return []
