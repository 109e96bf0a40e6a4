"""skcnn._files: files that appear whole or not at all."""

import os
import stat

import pytest

from skcnn._files import replacing


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
