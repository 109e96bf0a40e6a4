"""skcnn._files: files that appear whole or not at all."""

import errno
import os
import re
import signal
import stat
import subprocess
import sys

import pytest

from skcnn import _files
from skcnn._files import check_regular, nameless_file, replacing, temporary_folder, write_reserved


@pytest.fixture
def umask():
    """Set the mask of the process for a test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("durable", [True, False])
def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path, durable):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with replacing(path, durable=durable) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
        assert unfinished.parent == tmp_path
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_alone(tmp_path, error):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write():
        with replacing(path) as unfinished:
            unfinished.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_what_cannot_be_moved_is_removed(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError), replacing(tmp_path / "folder") as unfinished:
        unfinished.write_text("new")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "none" / "table.csv"):
        pass


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_mode_is_that_of_a_new_file(tmp_path, umask, mask, mode):
    umask(mask)
    with replacing(tmp_path / "new") as unfinished:
        assert stat.S_IMODE(unfinished.stat().st_mode) == mode
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == mode


@pytest.mark.parametrize("before", [0o600, 0o666])
def test_the_mode_of_a_replaced_file_does_not_count(tmp_path, umask, before):
    path = tmp_path / "model.skcnn"
    path.write_text("old")
    path.chmod(before)
    umask(0o022)
    with replacing(path) as unfinished:
        unfinished.write_text("new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_name_as_long_as_a_name_may_be(tmp_path):
    path = tmp_path / ("\N{GRINNING FACE}" * 60 + "x" * 15)
    with replacing(path) as unfinished:
        unfinished.write_text("new")
    assert path.read_text() == "new"


def test_durable_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    seen = []
    synced, moved = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (seen.append("fsync"), synced(handle)))
    monkeypatch.setattr(os, "replace", lambda source, target: (seen.append("replace"), moved(source, target)))
    for durable in (True, False):
        with replacing(tmp_path / "file", durable=durable):
            pass
    assert seen == ["fsync", "replace", "replace"]


WRITER = """
import os, signal, sys
from skcnn._files import replacing, temporary_folder
with replacing(sys.argv[1]) as unfinished, temporary_folder(os.path.dirname(sys.argv[1]), "folder-") as folder:
    unfinished.write_text("half")
    (folder / "part").write_text("half")
    print("writing", flush=True)
    signal.pause()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
def test_what_a_killed_process_left_is_removed_and_what_a_live_one_writes_is_not(tmp_path):
    path = tmp_path / "model.skcnn"
    command = [sys.executable, "-c", WRITER, str(path)]
    killed, alive = (subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2))
    try:
        for process in (killed, alive):
            assert process.stdout.readline() == "writing\n"
        assert len(os.listdir(tmp_path)) == 4
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        (tmp_path / ".other.skcnn.00000000.part").write_text("of another file")
        (tmp_path / ".model.skcnn.part").write_text("of something else")
        with replacing(path) as unfinished, temporary_folder(tmp_path, "folder-") as folder:
            assert len(os.listdir(tmp_path)) == 6
            unfinished.write_text("whole")
            with replacing(path) as second:  # of this process: alive as well
                second.write_text("meanwhile")
            assert unfinished.exists()
        assert not folder.exists()
        assert path.read_text() == "whole"
        left = set(os.listdir(tmp_path)) - {"model.skcnn", ".other.skcnn.00000000.part", ".model.skcnn.part"}
        assert sorted(name.partition(".")[0][:7] for name in left) == ["", "folder-"]
    finally:
        for process in (killed, alive):
            process.kill()
            process.communicate()
    with replacing(path), temporary_folder(tmp_path, "folder-"):
        pass
    assert sorted(os.listdir(tmp_path)) == [".model.skcnn.part", ".other.skcnn.00000000.part", "model.skcnn"]


def test_without_locks_only_an_old_temporary_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(_files, "_HAS_LOCKS", False)
    new, old = tmp_path / ".a.00000000.part", tmp_path / ".a.11111111.part"
    for path in (new, old):
        path.touch()
    os.utime(old, (1, 1))
    with replacing(tmp_path / "a") as unfinished:
        unfinished.write_text("whole")
    assert sorted(os.listdir(tmp_path)) == [new.name, "a"]


def special_files(folder):
    """Make a pipe, and return its path and that of a device."""
    os.mkfifo(folder / "pipe")
    return [folder / "pipe", "/dev/zero"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_or_device_is_neither_read_nor_replaced(tmp_path):
    for path in special_files(tmp_path):
        with pytest.raises(OSError, match=r"is a (pipe|device); expected a table"):
            check_regular(path, "a table")
        before = os.stat(path)
        with pytest.raises(OSError, match=r"is a (pipe|device); expected the path of a file"), replacing(path):
            pass
        assert os.stat(path).st_mode == before.st_mode
    for path in (tmp_path, tmp_path / "none", __file__):
        check_regular(path, "a table")


@pytest.fixture(params=["fallocate", "zeros", "none"])
def way_to_reserve(request, monkeypatch):
    """Let the system reserve space, refuse to, and not know how to."""

    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, "not here")

    if request.param == "zeros":
        monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    elif request.param == "none":
        monkeypatch.delattr(os, "posix_fallocate", raising=False)


@pytest.mark.usefixtures("way_to_reserve")
def test_space_is_reserved_in_whatever_way_there_is(tmp_path):
    path = tmp_path / "unfinished"
    write_reserved(path, b"head", 5_000_000, "features.npy")
    assert path.stat().st_size == 5_000_004
    assert path.stat().st_blocks * 512 >= 5_000_000
    assert path.read_bytes() == b"head" + bytes(5_000_000)


@pytest.mark.parametrize("call", ["posix_fallocate", "fsync", "limit"])
def test_no_room_is_an_error_that_says_how_much(tmp_path, monkeypatch, call):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "limit":
        resource = pytest.importorskip("resource")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    elif call == "posix_fallocate":
        monkeypatch.setattr(os, call, full, raising=False)
    else:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
        monkeypatch.setattr(os, call, full)
    try:
        with pytest.raises(OSError, match=r"'features.npy' needs 5,000,004 bytes, and [\d,]+ are free") as caught:
            write_reserved(tmp_path / "unfinished", b"head", 5_000_000, "features.npy")
    finally:
        if call == "limit":
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == (errno.EFBIG if call == "limit" else errno.ENOSPC)
    assert (tmp_path / "unfinished").stat().st_size == 0


@pytest.mark.usefixtures("way_to_reserve")
@pytest.mark.parametrize("n_bytes", [5_000_000, 0])
def test_a_file_without_a_name_has_its_space(tmp_path, n_bytes):
    folder = tmp_path / "new" / "folder"
    with nameless_file(folder, n_bytes) as file:
        assert os.listdir(folder) == []
        status = os.fstat(file.fileno())
        assert (status.st_size, status.st_nlink) == (n_bytes, 0)
        assert status.st_blocks * 512 >= n_bytes
        assert os.pread(file.fileno(), n_bytes + 1, 0) == bytes(n_bytes)
        os.pwrite(file.fileno(), b"end", n_bytes)
    assert file.closed
    assert os.listdir(folder) == []


def test_nothing_may_follow(tmp_path):
    write_reserved(tmp_path / "unfinished", b"head", 0, "features.npy")
    assert (tmp_path / "unfinished").read_bytes() == b"head"


def test_no_room_for_a_file_without_a_name(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    name = re.escape(f"a temporary file in {str(tmp_path)!r}")
    message = name + r" needs 5,000,000 bytes, and [\d,]+ are free on its disk \(No space left on device\)$"
    with pytest.raises(OSError, match=message) as caught, nameless_file(tmp_path, 5_000_000):
        pass
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []


def test_no_folder_for_a_file_without_a_name(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(OSError, match=re.escape(str(folder))), nameless_file(folder, 10):
            pass


MAPPER = """
import mmap, os, signal, sys
from skcnn._files import nameless_file
with nameless_file(sys.argv[1], 100_000) as file:
    mapped = mmap.mmap(file.fileno(), 0)
mapped[:4] = b"kept"
print(mapped[:4].decode(), os.listdir(sys.argv[1]), flush=True)
signal.pause()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
def test_a_map_holds_a_file_without_a_name_and_a_killed_process_leaves_none(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", MAPPER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "kept []\n"
    finally:
        process.kill()
        process.communicate()
    assert os.listdir(tmp_path) == []
