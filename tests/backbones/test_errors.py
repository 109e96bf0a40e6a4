"""Errors about weights say it in the words of the caller."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from skcnn.backbones import WeightsDownloadError, WrongWeightsError

ONE = WeightsDownloadError({"Net": (Path("/home/me/a b/net.h5"), "https://host/net.h5")}, "timed out")
TWO = WeightsDownloadError(
    {"Net": (Path("/models/net.h5"), "https://host/net.h5"), "Other": (Path("/models/other.h5"), "https://host/o.h5")},
    "timed out",
)
WRONG = WrongWeightsError(Path("/a.h5"), "Net", "too few layers.", "https://host/net.h5")


def test_download_in_the_words_of_python():
    assert str(ONE) == (
        "The weights of Net could not be downloaded: timed out.\n"
        "Keras looks for net.h5 in /home/me/a b (KERAS_HOME moves that folder). To put it there:\n"
        "  curl -f -L -o '/home/me/a b/net.h5' https://host/net.h5\n"
        "A file elsewhere is given as weights='PATH': that one, without a classifier (notop, no_top), or one that "
        "Keras saved from the same network (.h5 or .weights.h5). ResNet20 needs no download: its weights come with "
        "skcnn (backbone='ResNet20')."
    )


def test_download_in_the_words_of_a_command():
    expected = (
        str(ONE).replace("weights='PATH'", "--weights PATH").replace("backbone='ResNet20'", "--backbone ResNet20")
    )
    assert ONE.for_command({"weights", "backbone"}) == expected != str(ONE)
    # A command that loads a saved model takes neither.
    assert ONE.for_command({"model"}) == expected.rpartition("\nA file elsewhere")[0]


def test_several_downloads():
    message = str(TWO)
    assert message.startswith("The weights of Net, Other could not be downloaded: timed out.\n")
    assert (
        "\n  curl -f -L -o /models/net.h5 https://host/net.h5\n  curl -f -L -o /models/other.h5 https://host/o.h5\n"
        in (message)
    )
    assert "weights={'Net': 'PATH', 'Other': 'PATH'}" in message
    assert "--weights Net=PATH --weights Other=PATH:" in TWO.for_command({"weights"})


def test_wrong_file():
    assert str(WRONG).startswith(
        "/a.h5 does not hold the weights of Net: too few layers.\nThe file that fits is the one "
    )
    assert "backbone='MODEL.keras'" in str(WRONG)
    assert "--backbone MODEL.keras" in WRONG.for_command({"backbone"})
    assert "backbone" not in WRONG.for_command({"model"})


@pytest.mark.parametrize("error", [ONE, TWO, WRONG], ids=["one", "two", "wrong"])
def test_sent_between_processes(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))
