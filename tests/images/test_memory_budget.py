"""Images that are decoded at the same time share one budget."""

import threading

import pytest

from skcnn.images import _memory
from skcnn.images._memory import reserved


@pytest.fixture
def budget(monkeypatch) -> int:
    monkeypatch.setattr(_memory, "BUDGET", 100 * _memory.BYTES_PER_PIXEL)
    return 100


def in_thread(function) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def test_what_fits_is_decoded_at_the_same_time(budget):
    with reserved(60), reserved(40):
        pass


@pytest.mark.parametrize("n_pixels", [41, 1000])
def test_what_does_not_fit_waits(budget, n_pixels):
    entered, left = threading.Event(), threading.Event()

    def decode():
        with reserved(n_pixels):
            entered.set()
            assert left.is_set()

    with reserved(60):
        thread = in_thread(decode)
        assert not entered.wait(0.05)
        left.set()
    thread.join(10)
    assert entered.is_set()


def test_an_error_gives_its_share_back(budget):
    for _ in range(3):
        with pytest.raises(OSError, match="broken"), reserved(1000):
            raise OSError("broken")
    with reserved(budget):
        pass


def test_many_threads_stay_within_the_budget(budget):
    lock, in_use, most = threading.Lock(), [0], [0]

    def decode():
        for _ in range(50):
            with reserved(30):
                with lock:
                    in_use[0] += 30
                    most[0] = max(most[0], in_use[0])
                with lock:
                    in_use[0] -= 30

    threads = [in_thread(decode) for _ in range(8)]
    for thread in threads:
        thread.join(30)
    assert in_use[0] == 0
    assert 0 < most[0] <= budget
