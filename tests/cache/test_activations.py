"""The cache of activations: room that is reserved, networks that leave whole, files without a name."""

import copy
import errno
import gc
import mmap
import os
import pickle
import re
import signal
import sys
import tempfile
import threading
import warnings
import weakref
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from skcnn.cache import ActivationCache, CacheInfo, CacheWarning, _activations, activation_cache
from skcnn.images import as_images

GIB = 2**30
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks and /proc are POSIX's")


def digests(*numbers):
    return [b"image %d" % number for number in numbers]


def records(*numbers, n_values=10):
    """Return what a network gives for these images: the record of 3 is 300, 301, ..."""
    return (100 * np.array(numbers)[:, None] + np.arange(n_values)).astype("float32")


def put(cache, network, *numbers, n_values=10):
    cache.put_many(network, digests(*numbers), records(*numbers, n_values=n_values))


def held(cache, network, *numbers):
    return [digest for digest, _ in cache.get_many(network, digests(*numbers))]


def sizes(cache):
    """Return the bytes in memory and on the disk."""
    return cache.info().n_bytes, cache.info().n_disk_bytes


@pytest.fixture
def cache(tmp_path):
    """Room for ten records of ten values in memory, and for another ten on the disk."""
    return ActivationCache(400, 400, tmp_path / "files")


@pytest.fixture
def files(monkeypatch):
    """Descriptors of the files that are made, each open for as long as its file is held."""
    made = []
    mapped = mmap.mmap

    class Map(mapped):
        def __new__(cls, descriptor, length):
            made.append(os.dup(descriptor))
            return mapped.__new__(cls, descriptor, length)

    monkeypatch.setattr(mmap, "mmap", Map)
    yield made
    for descriptor in made:
        os.close(descriptor)


def open_files(folder):
    """Return the sizes of the files in a folder that this process holds open or mapped, removed ones included."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    spans = [line.split()[0].split("-") for line in lines if f" {folder}/" in line]
    return [int(end, 16) - int(start, 16) for start, end in spans]


# Room.


def test_room_in_memory(cache, tmp_path):
    assert cache.reserve("net", digests(1, 2, 1), 10) == "memory"
    assert cache.info() == CacheInfo(0, 0, 0, n_bytes=80, max_bytes=400, n_disk_bytes=0, max_disk_bytes=400)
    assert held(cache, "net", 1, 2) == []
    assert cache.missing("net", digests(2, 1, 2)) == digests(2, 1)
    put(cache, "net", 1, 2)
    assert cache.missing("net", digests(1, 2)) == []
    assert cache.info() == CacheInfo(2, 0, 2, 80, 400, 0, 400)
    assert not (tmp_path / "files").exists()


def test_what_fits_exactly_is_in_memory_and_one_more_on_the_disk(tmp_path):
    for n, place in ((10, "memory"), (11, "disk")):
        assert ActivationCache(400, 1000, tmp_path).reserve("net", digests(*range(n)), 10) == place


def test_what_fits_nowhere_is_not_kept(cache):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a bound that was given is no trouble
        assert cache.reserve("net", digests(*range(11)), 10) == "nowhere"
    put(cache, "net", *range(11))
    assert cache.info() == CacheInfo(11, 0, 0, 0, 400, 0, 400)
    assert cache.claim("net", digests(3, 3)) == digests(3)
    # Until there is room for them.
    assert cache.reserve("net", digests(*range(10)), 10) == "memory"
    put(cache, "net", *range(11))
    assert held(cache, "net", *range(11)) == digests(*range(10))


def test_no_bytes_are_no_room(tmp_path):
    cache = ActivationCache(0, 0, tmp_path / "files")
    assert cache.reserve("net", digests(1), 10) == "nowhere"
    put(cache, "net", 1)
    put(cache, "another net", 1)
    assert cache.info() == CacheInfo(2, 0, 0, 0, 0, 0, 0)
    assert not (tmp_path / "files").exists()


def test_nothing_to_reserve(cache):
    assert cache.reserve("net", [], 10) == "memory"
    cache.put_many("net", [], [])
    assert cache.info()[:4] == (0, 0, 0, 0)


def test_folds_add_up_to_the_images(cache):
    with cache.using("net"):
        assert cache.reserve("net", digests(*range(6)), 10) == "memory"
        put(cache, "net", *range(6))
        assert cache.reserve("net", digests(*range(3, 9)), 10) == "memory"  # 0 to 8, that is
        assert sizes(cache) == (360, 0)
        assert cache.reserve("net", digests(*range(5, 12)), 10) == "disk"  # 9 to 11
        assert sizes(cache) == (360, 120)
        put(cache, "net", *range(12))
        assert cache.reserve("net", digests(*range(12)), 10) == "disk"
        assert cache.reserve("net", digests(*range(9)), 10) == "memory"
        assert cache.reserve("net", digests(8, 9), 10) == "disk"
        assert cache.reserve("net", digests(*range(20)), 10) == "nowhere"
        assert sizes(cache) == (360, 120)
        put(cache, "net", *range(20))
        assert held(cache, "net", *range(20)) == digests(*range(12))
        np.testing.assert_array_equal(cache.read("net", digests(*range(12))), records(*range(12)))
        assert cache.reserve("net", digests(12), 10) == "memory"  # alone it fits
        put(cache, "net", *range(20))
        assert held(cache, "net", *range(20)) == digests(*range(13))
        assert sizes(cache) == (400, 120)


def test_whole_networks_leave_the_least_recently_used_first(cache):
    for name, numbers in (("a", range(3)), ("b", range(4)), ("c", range(3))):
        assert cache.reserve(name, digests(*numbers), 10) == "memory"
        put(cache, name, *numbers)
    assert cache.reserve("d", digests(*range(10)), 10) == "disk"
    put(cache, "d", *range(10))
    assert held(cache, "a", 0) == digests(0)  # a use, and so b is the first to leave
    assert cache.reserve("e", digests(*range(4)), 10) == "memory"
    assert [len(held(cache, name, *range(10))) for name in "abcd"] == [3, 0, 3, 10]
    assert sizes(cache) == (400, 400)
    cache.read("a", digests(0))  # since e, all others were used
    assert cache.reserve("f", digests(0), 10) == "memory"
    assert [len(held(cache, name, *range(10))) for name in "acd"] == [3, 3, 10]
    assert sizes(cache) == (280, 400)


def test_a_file_is_taken_before_others_leave_the_memory(cache):
    cache.reserve("a", digests(*range(10)), 10)
    assert cache.reserve("b", digests(*range(10)), 10) == "disk"
    assert cache.reserve("c", digests(*range(2)), 10) == "memory"  # which a has left
    assert sizes(cache) == (80, 400)


def test_networks_on_the_disk_leave_for_what_memory_cannot_hold(tmp_path):
    cache = ActivationCache(40, 400, tmp_path)
    for name in "ab":
        assert cache.reserve(name, digests(*range(5)), 10) == "disk"
        put(cache, name, *range(5))
    assert cache.reserve("c", digests(*range(4)), 10) == "disk"
    assert [len(held(cache, name, *range(5))) for name in "ab"] == [0, 5]
    assert sizes(cache) == (0, 360)


def test_a_network_leaves_both_places_at_once(cache):
    cache.reserve("a", digests(*range(9)), 10)
    assert cache.reserve("a", digests(*range(12)), 10) == "disk"
    assert sizes(cache) == (360, 120)
    assert cache.reserve("b", digests(*range(10)), 10) == "memory"
    assert sizes(cache) == (400, 0)


def test_nothing_leaves_where_it_would_be_in_vain(cache):
    cache.reserve("a", digests(*range(5)), 10)
    cache.reserve("b", digests(*range(5)), 10)
    cache.reserve("c", digests(*range(10)), 10)
    with cache.using("a"), cache.using("c"):
        assert cache.reserve("d", digests(*range(6)), 10) == "nowhere"
        assert sizes(cache) == (400, 400)
    assert cache.reserve("d", digests(*range(6)), 10) == "memory"


# Use.


def test_a_network_in_use_stays():
    cache = ActivationCache(400, 0)
    cache.reserve("idle", digests(*range(5)), 10)
    with cache.using("net"):
        cache.reserve("net", digests(*range(5)), 10)
        put(cache, "net", *range(5))
        with cache.using("net"):
            pass
        assert cache.reserve("other", digests(*range(5)), 10) == "memory"  # where idle was
        assert cache.reserve("other", digests(*range(11)), 10) == "nowhere"
        with cache.using("other"), pytest.raises(KeyError), cache.using("net"):
            raise KeyError
        assert held(cache, "net", *range(5)) == digests(*range(5))
    cache.read("net", digests(0))  # used last, but not in use
    assert cache.reserve("other", digests(*range(10)), 10) == "memory"
    assert held(cache, "net", *range(5)) == []
    assert not cache._in_use


def test_blocks_in_threads_overlap(cache):
    entered, leave = threading.Barrier(2), threading.Event()

    def use():
        with cache.using("net"):
            entered.wait(10)
            leave.wait(10)

    thread = threading.Thread(target=use)
    with cache.using("net"):
        thread.start()
        entered.wait(10)
        cache.reserve("net", digests(*range(10)), 10)
    assert cache.reserve("other", digests(*range(11)), 10) == "nowhere"
    assert cache.reserve("other", digests(*range(10)), 10) == "disk"
    assert cache.reserve("third", digests(*range(9)), 10) == "disk"  # where other was
    leave.set()
    thread.join(10)
    with cache.using("third"):
        assert cache.reserve("other", digests(*range(10)), 10) == "memory"


def test_a_block_that_the_garbage_collector_ends_while_room_is_sought(monkeypatch):
    cache = ActivationCache(None, 0)

    def batches():
        with cache.using("abandoned"):
            yield

    class Owner:
        pass

    def collect():
        gc.collect()
        return 4000

    def work():
        owner = Owner()
        owner.owner, owner.batches = owner, batches()
        next(owner.batches)
        del owner
        monkeypatch.setattr(_activations, "available_memory", collect)
        done.append(cache.reserve("net", digests(1), 10))

    done = []
    gc.disable()
    try:
        thread = threading.Thread(target=work, daemon=True)  # so that a deadlock is a failure
        thread.start()
        thread.join(10)
    finally:
        gc.enable()
    assert done == ["memory"]
    assert not cache._in_use


# Records.


def test_records_are_read_only_views_and_batches_are_copies(cache, tmp_path):
    batch = records(1, 2)
    for place, bounds in (("memory", (400, 0)), ("disk", (0, 400))):
        cache = ActivationCache(*bounds, tmp_path)
        assert cache.reserve("net", digests(1, 2), 10) == place
        cache.put_many("net", digests(1, 2), batch)
        kept = dict(cache.get_many("net", digests(2, 3, 1)))
        assert list(kept) == digests(2, 1)
        for record in kept.values():
            assert record.shape == (10,)
            assert record.dtype == "float32"
            assert not record.flags.writeable
            with pytest.raises(ValueError, match="read-only"):
                record[0] = 1
        assert np.shares_memory(kept[b"image 1"], dict(cache.get_many("net", digests(1)))[b"image 1"])
        read = cache.read("net", digests(2, 1, 2))
        assert read.dtype == "float32"
        assert read.flags.writeable
        np.testing.assert_array_equal(read, [*records(2), *records(1), *records(2)])
        read[:] = 0
        np.testing.assert_array_equal(cache.read("net", digests(1)), records(1))
    batch[:] = -1
    np.testing.assert_array_equal(cache.read("net", digests(1)), records(1))


def test_a_record_that_is_there_stays(cache):
    cache.reserve("net", digests(1), 3)
    for value in (1.0, 2.0):
        cache.put_many("net", digests(1, 2), [np.full(3, value)] * 2)
    np.testing.assert_array_equal(cache.read("net", digests(1, 2)), np.ones((2, 3)))
    assert cache.info()[:4] == (4, 0, 2, 24)


def test_records_of_any_shape_and_type(cache):
    cache.put_many("net", digests(1, 2, 3), [[[0, 1], [2, 3]], np.arange(4.0), np.ones(4, bool)])
    np.testing.assert_array_equal(cache.read("net", digests(1, 2, 3)), [[0, 1, 2, 3], [0, 1, 2, 3], [1, 1, 1, 1]])
    cache.put_many("net", digests(4), (np.arange(4) for _ in range(1)))
    assert held(cache, "net", 4) == digests(4)


def test_without_reservation_memory_is_filled_and_nothing_leaves(cache):
    put(cache, "a", *range(6))
    put(cache, "b", *range(6))
    assert [len(held(cache, name, *range(6))) for name in "ab"] == [6, 4]
    assert sizes(cache) == (400, 0)
    assert cache.reserve("c", digests(*range(4)), 10) == "disk"
    assert cache.reserve("d", digests(*range(7)), 10) == "memory"  # now a and b leave: they are not in use
    assert [len(held(cache, name, *range(6))) for name in "ab"] == [0, 0]


def test_a_record_does_not_keep_its_batch(cache):
    batch = records(1, 2)
    put_batch = weakref.ref(batch)
    cache.reserve("net", digests(1), 10)
    cache.put_many("net", digests(1, 2), batch)
    del batch
    assert put_batch() is None


@pytest.mark.parametrize("empty", [True, False])
def test_read_needs_every_record(cache, empty):
    put(cache, "net", 1)
    with pytest.raises(KeyError, match=r"Got 2 contents, 1 of which have no record of network 'net'"):
        cache.read("net", digests(1, 2))
    with pytest.raises(KeyError, match=r"Got 1 contents, 1 of which have no record of network 'none'"):
        cache.read("none", digests(1))
    with pytest.raises(KeyError, match="expected at least one"):
        cache.read("none" if empty else "net", [])


def test_lengths_that_do_not_fit(cache):
    cache.reserve("net", digests(1), 10)
    put(cache, "net", 1)
    message = r"Got records of 1,000 values for network 'net'; expected 10, as in the records that it has"
    with pytest.raises(ValueError, match=message):
        cache.reserve("net", digests(2), 1000)
    with pytest.raises(ValueError, match=message):
        cache.put_many("net", digests(2), [np.zeros(1000)])
    with pytest.raises(ValueError, match=r"Got records of \[3, 4\] values; expected records of the same length"):
        cache.put_many("new", digests(1, 2), [np.zeros(3), np.zeros(4)])
    for names, given in ((digests(1, 2), [np.zeros(10)]), (digests(2), [])):
        with pytest.raises(ValueError, match="shorter"):
            cache.put_many("net", names, given)
    with pytest.raises(ValueError, match="longer"):
        cache.put_many("net", digests(2), np.zeros((2, 10)))
    np.testing.assert_array_equal(cache.read("net", digests(1)), records(1))
    assert cache.info()[2:4] == (1, 40)
    cache.clear()
    cache.put_many("net", digests(1), [np.zeros(3)])  # forgotten, the length as well


@pytest.mark.parametrize("n_values", [0, -1, 2.0, "2", True, None])
def test_numbers_that_are_none(cache, n_values):
    with pytest.raises(ValueError, match=re.escape(f"n_values={n_values!r}; expected a positive int")):
        cache.reserve("net", digests(1), n_values)
    assert cache.reserve("net", digests(1), np.int64(3)) == "memory"


def test_an_interrupted_put_keeps_the_room(cache, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    cache.reserve("net", digests(1, 2), 10)
    monkeypatch.setattr(np, "empty", interrupt)  # reached at 3, which has no room; 1 is written
    with pytest.raises(KeyboardInterrupt):
        put(cache, "net", 1, 3, 2)
    monkeypatch.undo()
    assert sizes(cache) == (80, 0)
    assert held(cache, "net", 1, 2, 3) == digests(1)
    put(cache, "net", 1, 2, 3)
    np.testing.assert_array_equal(cache.read("net", digests(1, 2, 3)), records(1, 2, 3))
    assert sizes(cache) == (120, 0)


def test_clear_while_in_use(cache):
    with cache.using("net"):
        cache.reserve("net", digests(*range(12)), 2)
        put(cache, "net", *range(12), n_values=2)
        cache.count_hits(3)
        cache.set_output_shapes("net", [[2]])
        assert cache.info() == CacheInfo(12, 3, 12, 96, 400, 0, 400)
        cache.clear()
        assert cache.info() == CacheInfo(0, 0, 0, 0, 400, 0, 400)
        assert cache.output_shapes("net") is None
        put(cache, "net", 1, n_values=2)
        cache.reserve("other", digests(*range(10)), 10)
        assert held(cache, "net", 1) == digests(1)  # still in use


def test_the_digests_of_images(cache):
    images = as_images([b"one", b"two"])
    assert [digest for _, digest in cache.digests(images, [1, 0])] == [images.digest(1), images.digest(0)]


# Files.


def test_a_file_has_no_name_and_its_place_on_the_disk(files, tmp_path):
    cache = ActivationCache(0, 10**7, tmp_path / "new" / "files")
    assert cache.reserve("net", digests(1, 2), 1_000_000) == "disk"
    assert os.listdir(tmp_path / "new" / "files") == []
    (descriptor,) = files
    status = os.fstat(descriptor)
    assert status.st_size == 8_000_000
    assert status.st_blocks * 512 >= 8_000_000  # before anything is written
    assert status.st_nlink == 0
    cache.put_many("net", digests(2, 1), np.full((2, 1_000_000), [[7], [5]], "float32"))
    assert (
        os.pread(descriptor, 8, 0) + os.pread(descriptor, 8, 4_000_000) == np.array([5, 5, 7, 7], "float32").tobytes()
    )


@posix
@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="there is no /proc")
@pytest.mark.parametrize("way", ["clear", "evict", "drop"])
def test_files_and_memory_are_given_back(tmp_path, way):
    cache = ActivationCache(8000, 40_000, tmp_path)
    gc.disable()  # they go at once, not when a cycle is found
    try:
        cache.reserve("net", digests(0, 1), 1000)
        assert cache.reserve("net", digests(*range(10)), 1000) == "disk"
        put(cache, "net", *range(10), n_values=1000)
        arrays = [weakref.ref(record.base) for _, record in cache.get_many("net", digests(0, 9))]
        kept = dict(cache.get_many("net", digests(9)))[b"image 9"]
        assert open_files(tmp_path) == [32_768]
        if way == "clear":
            cache.clear()
        elif way == "evict":
            assert cache.reserve("other", digests(*range(10)), 1000) == "disk"
            assert sorted(open_files(tmp_path)) == [32_768, 40_960]
            cache.clear()
        else:
            del cache
        assert arrays[0]() is None
        np.testing.assert_array_equal(kept, records(9, n_values=1000)[0])  # who keeps a view keeps its file
        assert open_files(tmp_path) == [32_768]
        del kept
        assert arrays[1]() is None
        assert open_files(tmp_path) == []
    finally:
        gc.enable()


def test_a_failure_keeps_no_memory(tmp_path):
    (tmp_path / "file").touch()
    cache = ActivationCache(400, None, tmp_path / "file")
    put(cache, "other", 1)
    gc.disable()
    try:
        put(cache, "net", 1)
        assert cache.reserve("net", digests(*range(10)), 10) == "memory"  # after the disk has failed
        ((_, record),) = cache.get_many("net", digests(1))
        memory = weakref.ref(record)
        del record
        cache.clear()
        assert memory() is None
    finally:
        gc.enable()


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def the_warning(caught):
    (warning,) = caught
    assert warning.filename == __file__
    return str(warning.message)


def test_a_full_disk_is_said_once(tmp_path, monkeypatch):
    folder = tmp_path / "files"
    cache = ActivationCache(40, 10**9, folder)
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.warns(CacheWarning) as caught:
        places = [cache.reserve(name, digests(1, 2), 10) for name in ("net", "net", "other")]
    assert places == ["nowhere"] * 3
    assert re.fullmatch(
        "Activations are not kept, and are computed in every epoch: a temporary file in "
        + re.escape(repr(str(folder)))
        + r" needs 80 bytes, and [\d,]+ are free on its disk \(No space left on device\)\. "
        "Make room, or give another folder.",
        the_warning(caught),
    )
    assert os.listdir(folder) == []
    put(cache, "net", 1, 2)
    assert cache.info() == CacheInfo(2, 0, 0, 0, 40, 0, 10**9)
    # There is room again, and then none again.
    monkeypatch.undo()
    assert cache.reserve("net", digests(1, 2), 10) == "disk"
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.warns(CacheWarning, match="No space left"):
        assert cache.reserve("net", digests(3, 4), 10) == "nowhere"
    cache.clear()
    with pytest.warns(CacheWarning, match="No space left"):
        assert cache.reserve("net", digests(3, 4), 10) == "nowhere"


def test_others_leave_a_disk_that_is_full(tmp_path, monkeypatch):
    """The bound does not know of quotas: files leave until one can be made."""
    cache = ActivationCache(0, 1000, tmp_path)
    for name in "abc":
        cache.reserve(name, digests(1), 10)
    reserve = getattr(os, "posix_fallocate", None)
    monkeypatch.setattr(
        os,
        "posix_fallocate",
        lambda *given: full() if sizes(cache)[1] > 40 else reserve and reserve(*given),
        raising=False,
    )
    assert cache.reserve("d", digests(1), 10) == "disk"
    assert sizes(cache) == (0, 80)
    put(cache, "c", 1)
    assert held(cache, "c", 1) == digests(1)


@pytest.mark.parametrize("kind", ["a file", "below a file", "read-only"])
def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch, kind):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" if kind == "a file" else tmp_path / "file" / "files"
    if kind == "read-only":
        folder = tmp_path

        def refuse(dir, **_):
            raise PermissionError(errno.EACCES, "Permission denied", dir)

        monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    for most in (10**9, None):
        cache = ActivationCache(40, most, folder)
        with pytest.warns(CacheWarning) as caught:
            places = [cache.reserve(name, digests(1, 2), 10) for name in "ab"]
        assert places == ["nowhere"] * 2
        assert re.fullmatch(
            rf"Activations are not kept, .*: \[Errno \d+\] .*: {re.escape(repr(str(folder)))}\. "
            "Make room, or give another folder.",
            the_warning(caught),
        )


def test_without_a_temporary_folder_of_the_system(monkeypatch):
    def none():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    cache = ActivationCache(40)
    with pytest.warns(
        CacheWarning, match=r"No usable temporary directory found .*set another temporary folder \(TMPDI"
    ):
        assert cache.reserve("net", digests(1, 2), 10) == "nowhere"
    assert cache.info().max_disk_bytes == 0
    assert cache.reserve("net", digests(1), 10) == "memory"


def test_half_of_what_is_free_is_too_little(tmp_path, monkeypatch):
    monkeypatch.setattr(_activations, "free_disk", lambda folder: 200)
    cache = ActivationCache(0, None, tmp_path)
    folder = re.escape(repr(str(tmp_path)))
    with pytest.warns(
        CacheWarning, match=rf"120 bytes are needed in {folder}, and only half of .* is taken, 100\. Make"
    ):
        assert cache.reserve("net", digests(1, 2, 3), 10) == "nowhere"
    assert cache.reserve("net", digests(1, 2), 10) == "disk"


def test_no_memory_is_no_error(cache, monkeypatch):
    def refuse(*_):
        raise MemoryError

    cache.reserve("idle", digests(1), 10)
    monkeypatch.setattr(np, "empty", refuse)
    assert cache.reserve("net", digests(1), 10) == "disk"
    assert cache.reserve("other", digests(*range(10)), 10) == "disk"  # where net was
    with cache.using("other"):
        assert cache.reserve("net", digests(*range(10)), 10) == "nowhere"


# Bounds.


def test_bounds_that_are_not_given(tmp_path, monkeypatch):
    room = {"memory": 12 * GIB, "disk": 50 * GIB}
    monkeypatch.setattr(_activations, "available_memory", lambda: room["memory"])
    monkeypatch.setattr(_activations, "free_disk", lambda folder: room["disk"])
    cache = ActivationCache(folder=tmp_path)
    assert cache.info() == CacheInfo(0, 0, 0, 0, 3 * GIB, 0, 25 * GIB)
    room.update(memory=400 * GIB, disk=400 * GIB)
    assert cache.info() == CacheInfo(0, 0, 0, 0, 4 * GIB, 0, 32 * GIB)
    # What it holds already is not available any more, and counts.
    room.update(memory=400, disk=400)
    assert cache.reserve("net", digests(1, 2), 10) == "memory"
    room["memory"] -= 80
    assert cache.info()[3:] == (80, 100, 0, 200)
    assert cache.reserve("net", digests(3, 4), 10) == "disk"
    room["disk"] -= 80
    assert cache.info()[3:] == (80, 100, 80, 200)
    room.update(memory=0, disk=0)  # others have taken it: what is there stays
    put(cache, "net", 1, 2, 3, 4, 5)
    assert held(cache, "net", 1, 2, 3, 4, 5) == digests(1, 2, 3, 4)
    assert cache.info()[3:] == (80, 20, 80, 40)


@pytest.mark.parametrize("value", [-1, 1.0, True, "1", float("nan")])
@pytest.mark.parametrize("name", ["max_bytes", "max_disk_bytes"])
def test_bounds_that_are_none(name, value):
    with pytest.raises(
        ValueError, match=re.escape(f"{name}={value!r}; expected an int of at least 0, in bytes, or No")
    ):
        ActivationCache(**{name: value})


def test_bounds_of_numpy():
    cache = ActivationCache(np.int64(40), np.uint8(0))
    assert cache.info() == CacheInfo(0, 0, 0, 0, 40, 0, 0)
    assert type(cache.info().max_bytes) is int


def test_folders(tmp_path, monkeypatch):
    for wrong in (3, b"files", True):
        with pytest.raises(TypeError, match=re.escape(f"folder={wrong!r}; expected the path of a folder")):
            ActivationCache(folder=wrong)
    with pytest.raises(ValueError, match="folder=''; expected the path of a folder"):
        ActivationCache(folder="")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "system"))
    for given, made in (("here", "here"), ("~/home", "home"), (Path("path"), "path"), (None, "system")):
        assert ActivationCache(0, 400, given).reserve("net", digests(1), 10) == "disk"
        assert (tmp_path / made).is_dir()


# Other processes, and copies.


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))],
    ids=["copy", "deep", "pickle"],
)
def test_a_copy_begins_empty(cache, copied):
    cache.reserve("net", digests(1), 10)
    put(cache, "net", 1)
    other = copied(cache)
    assert type(other) is ActivationCache
    assert repr(other) == repr(cache) == f"ActivationCache(max_bytes=400, max_disk_bytes=400, folder={cache.folder!r})"
    assert other.info() == CacheInfo(0, 0, 0, 0, 400, 0, 400)
    put(other, "net", 2)
    assert cache.missing("net", digests(1, 2)) == digests(2)
    assert other.missing("net", digests(1, 2)) == digests(1)


@posix
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_begins_empty_and_leaves_the_files_alone(files, tmp_path):
    cache = ActivationCache(40, 400, tmp_path)
    cache.reserve("net", digests(1, 2), 10)
    put(cache, "net", 1, 2)
    (file,) = files
    before = os.pread(file, 80, 0)
    taken, give_back = threading.Event(), threading.Event()

    def hold():
        with cache._lock:
            taken.set()
            give_back.wait(10)

    with cache.using("net"):
        thread = threading.Thread(target=hold)
        thread.start()
        taken.wait(10)
        child = os.fork()
        if child == 0:
            status = 1
            signal.alarm(10)  # so that a deadlock is a failure
            try:
                assert cache.info() == CacheInfo(0, 0, 0, 0, 40, 0, 400)
                assert cache.reserve("net", digests(1, 2), 10) == "disk"
                cache.put_many("net", digests(1, 2), np.zeros((2, 10)))
                assert not cache.read("net", digests(1, 2)).any()
                assert cache.reserve("other", digests(*range(10)), 10) == "disk"  # net is not in use here
                assert activation_cache().info().n_records == 0
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        give_back.set()
        thread.join(10)
    assert os.pread(file, 80, 0) == before == records(1, 2).tobytes()
    np.testing.assert_array_equal(cache.read("net", digests(2, 1)), records(2, 1))


@posix
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_block_that_ends_in_a_forked_child(cache):
    with ExitStack() as stack:
        stack.enter_context(cache.using("net"))
        child = os.fork()
        if child == 0:
            try:
                with cache.using("net"):
                    stack.close()  # the parent's block
                    status = int(cache._in_use != Counter(net=1))
            except BaseException:
                status = 2
            os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert cache._in_use == Counter(net=1)


def test_the_cache_of_the_process():
    assert activation_cache() is activation_cache()
    assert repr(activation_cache()) == "ActivationCache(max_bytes=None, max_disk_bytes=None, folder=None)"


def test_threads_write_and_read_together(tmp_path):
    cache = ActivationCache(4000, 8000, tmp_path)  # two networks of a hundred records fit, and a part of a third
    errors, started = [], threading.Barrier(6)

    def work(index):
        network = f"net {index % 3}"
        rng = np.random.default_rng(index)
        try:
            started.wait(10)
            for _ in range(6):
                with cache.using(network):
                    place = cache.reserve(network, digests(*range(100)), 10)
                    for start in rng.permutation(20) * 5:
                        numbers = range(start, start + 5)
                        values = records(*numbers)
                        wanted = digests(*numbers)
                        for digest, record in cache.get_many(network, wanted):
                            np.testing.assert_array_equal(record, values[wanted.index(digest)])
                        cache.put_many(network, wanted, values)
                        if place != "nowhere":
                            np.testing.assert_array_equal(cache.read(network, wanted), values)
                    if place != "nowhere":
                        assert cache.missing(network, digests(*range(100))) == []
                info = cache.info()
                assert info.n_bytes <= 4000
                assert info.n_disk_bytes <= 8000
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert not any(thread.is_alive() for thread in threads)
    assert not errors
    assert not cache._in_use
    assert cache.info().passes == 6 * 6 * 100


# Against a model of plain dictionaries.

NAMES = st.sampled_from("abc")
NUMBERS = st.lists(st.integers(0, 5), max_size=6)
N_VALUES = {"a": 1, "b": 2, "c": 3}
MEMORY, DISK = 32, 40


class AgainstDictionaries(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.cache = ActivationCache(MEMORY, DISK, self.folder.name)
        self.order = []  # of use
        self.places = {name: {} for name in N_VALUES}  # of digests
        self.values = {name: {} for name in N_VALUES}
        self.refused = {name: set() for name in N_VALUES}
        self.blocks = []
        self.passes = 0

    def teardown(self):
        for _, block in self.blocks:
            block.__exit__(None, None, None)
        del self.cache
        self.folder.cleanup()

    def taken(self, place, name=None):
        names = N_VALUES if name is None else [name]
        return sum(4 * N_VALUES[one] * list(self.places[one].values()).count(place) for one in names)

    def use(self, name):
        if name in self.order:
            self.order.remove(name)
        self.order.append(name)

    def leave(self, name):
        self.places[name], self.values[name], self.refused[name] = {}, {}, set()
        self.order.remove(name)

    def make_room(self, name, n_bytes):
        idle = [other for other in self.order if other not in {name, *(used for used, _ in self.blocks)}]
        for place, bound in (("memory", MEMORY), ("disk", DISK)):
            if self.taken(place) + n_bytes <= bound:
                return place
        for place, bound in (("memory", MEMORY), ("disk", DISK)):
            leaving = [other for other in idle if self.taken(place, other)]
            if self.taken(place) - sum(self.taken(place, other) for other in leaving) + n_bytes <= bound:
                while self.taken(place) + n_bytes > bound:
                    self.leave(leaving.pop(0))
                return place
        return None

    @rule(name=NAMES, numbers=NUMBERS)
    def reserve(self, name, numbers):
        self.use(name)
        wanted = set(digests(*numbers))
        new = wanted - set(self.places[name])
        place = self.make_room(name, 4 * N_VALUES[name] * len(new)) if new else "memory"
        if place is None:
            self.refused[name] |= new
            expected = "nowhere"
        else:
            self.refused[name] -= new
            self.places[name].update(dict.fromkeys(new, place))
            expected = "disk" if "disk" in {self.places[name][digest] for digest in wanted} else "memory"
        assert self.cache.reserve(name, digests(*numbers), N_VALUES[name]) == expected

    @rule(name=NAMES, numbers=NUMBERS.map(lambda numbers: list(dict.fromkeys(numbers))), value=st.integers(0, 9))
    def put(self, name, numbers, value):
        self.cache.put_many(name, digests(*numbers), np.full((len(numbers), N_VALUES[name]), value))
        self.passes += len(numbers)
        if numbers:
            self.use(name)
        for digest in digests(*numbers):
            is_free = self.taken("memory") + 4 * N_VALUES[name] <= MEMORY
            if digest not in self.places[name] and digest not in self.refused[name] and is_free:
                self.places[name][digest] = "memory"
            if digest in self.places[name]:
                self.values[name].setdefault(digest, value)

    @rule(name=NAMES, numbers=NUMBERS)
    def get(self, name, numbers):
        found = [(digest, set(record.tolist())) for digest, record in self.cache.get_many(name, digests(*numbers))]
        values = self.values[name]
        assert found == [(digest, {values[digest]}) for digest in digests(*numbers) if digest in values]
        if name in self.order:
            self.use(name)

    @rule(name=NAMES)
    def begin(self, name):
        block = self.cache.using(name)
        block.__enter__()
        self.blocks.append((name, block))

    @precondition(lambda self: self.blocks)
    @rule(data=st.data())
    def end(self, data):
        _, block = self.blocks.pop(data.draw(st.integers(0, len(self.blocks) - 1)))
        block.__exit__(None, None, None)

    @rule()
    def clear(self):
        self.cache.clear()
        for name in list(self.order):
            self.leave(name)
        self.passes = 0

    @invariant()
    def same(self):
        n_records = sum(map(len, self.values.values()))
        assert self.cache.info() == CacheInfo(
            self.passes, 0, n_records, self.taken("memory"), MEMORY, self.taken("disk"), DISK
        )
        for name, values in self.values.items():
            assert self.cache.missing(name, digests(*range(6))) == [
                digest for digest in digests(*range(6)) if digest not in values
            ]


AgainstDictionaries.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestAgainstDictionaries = AgainstDictionaries.TestCase
