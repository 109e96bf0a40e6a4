import io
import sys

import numpy as np
import pytest

from skcnn import _progress
from skcnn.neural_network import CNNClassifier


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "verbose"), [(Terminal, "auto"), (io.StringIO, "auto"), (Terminal, 0)])
def test_a_phase_that_takes_long_shows_a_bar_in_a_terminal(stream, verbose, monkeypatch, capsys):
    monkeypatch.setattr(_progress, "PATIENCE", 0)
    monkeypatch.setattr(sys, "stderr", stream())
    X = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
    CNNClassifier(
        "ResNet20", head_epochs=3, epochs=0, batch_size=4, cache=None, random_state=0, verbose=verbose
    ).fit(X, np.arange(10) % 2)  # fmt: skip
    shown = sys.stderr.getvalue()
    assert ("training (head): 100%" in shown and "30/30" in shown) == (stream is Terminal and verbose == "auto")
    assert capsys.readouterr().out == ""
