"""Stages: seconds that add up, over threads as well, and nothing where nobody asks."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skcnn._timing import Recorder, count_images, recording, same_recorder, timed, timed_batch, timed_items


class Clock:
    """A clock that stands still unless it is moved."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def move(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def recorder(clock):
    """A recorder of this thread."""
    recorder = Recorder(clock)
    end = recording(recorder)
    yield recorder
    end()


#: A job: its stages, what each takes before, between and after the stages in it, and these.
JOBS = st.recursive(
    st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.just(())),
    lambda inner: st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.lists(inner, max_size=3)),
    max_leaves=8,
)


@given(JOBS)
def test_nested_stages_count_no_second_twice(job):
    clock, expected = Clock(), dict.fromkeys("abc", 0)
    recorder = Recorder(clock)

    def run(job):
        name, seconds, inner = job
        with timed(name):
            for one in inner:
                clock.move(seconds)
                expected[name] += seconds
                run(one)
            clock.move(seconds)
            expected[name] += seconds

    end = recording(recorder)
    run(job)
    end()
    assert {name: recorder.own.get(name, 0) for name in "abc"} == expected
    assert sum(recorder.own.values()) == clock() - 100


def test_an_error_ends_its_stages(recorder, clock):
    def fail():
        with timed("inner"):
            clock.move(2)
            raise OSError("broken")

    with timed("outer", 5):
        clock.move(1)
        with pytest.raises(OSError, match="broken"):
            fail()
        clock.move(4)
    assert recorder.own == {"inner": 2, "outer": 5}
    assert recorder.images["outer"] == 5


def test_getting_items_is_timed_and_using_them_is_not(recorder, clock):
    def items():
        for item in range(3):
            clock.move(2)
            yield item

    for _ in timed_items("items", items()):
        clock.move(10)
    count_images("items", 3)
    assert recorder.own == {"items": 6}
    assert recorder.images == {"items": 3}


def test_threads_that_join_are_beside(recorder, clock):
    join, inside = same_recorder(), threading.Barrier(4)

    def work():
        join()
        for _ in range(500):
            with timed("decode", 1):
                pass
        with timed("decode", 1):
            inside.wait(60)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorder.images["decode"] == 4 * 501
    assert recorder.threads["decode"] == 4
    assert recorder.own == {}
    assert recorder.beside == {"decode": 0}


def test_batches_are_beside_the_training_or_waited_for(recorder, clock):
    join = same_recorder()

    def batch():
        join()
        with timed_batch(8):
            clock.move(1)
            with timed("network"):
                clock.move(2)

    with timed("model"):
        batch()
        assert recorder.own == {"network": 2, "wait": 1}
        thread = threading.Thread(target=batch)
        thread.start()
        thread.join()
    assert recorder.beside == {"network": 2, "batches": 3}
    assert recorder.images["batches"] == 8


def test_other_threads_are_not_recorded(recorder):
    def work():
        with timed("decode", 1):
            count_images("decode", 1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert recorder.images == {}


def test_nothing_is_made_where_nobody_asks():
    assert timed("a", 3) is timed("b")
    same_recorder()()
    with timed("a"), timed_batch(1):
        count_images("a", 1)
