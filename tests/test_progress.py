import io
import sys

import pytest

from skcnn import _progress
from skcnn._progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch, stream, verbose) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(progress_bar(range(3), title="reading", verbose=verbose)) == [0, 1, 2]
    return stream.getvalue()


def test_a_job_that_takes_long_shows_a_bar_in_a_terminal_only(monkeypatch):
    assert shown(monkeypatch, Terminal(), "auto") == ""  # done before 5 seconds
    monkeypatch.setattr(_progress, "PATIENCE", 0)
    assert "reading: 100%" in shown(monkeypatch, Terminal(), "auto")
    assert shown(monkeypatch, io.StringIO(), "auto") == ""


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_asked_for_and_refused(monkeypatch, stream):
    assert "3/3" in shown(monkeypatch, stream(), 1)
    assert shown(monkeypatch, stream(), 0) == ""


def test_updates_by_hand(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress_bar(total=4, title="MobileNetV2", verbose=1) as bar:
        bar.update(4)
    assert "4/4" in sys.stderr.getvalue()
