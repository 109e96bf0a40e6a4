"""Errors about weights files, in the words of the caller: Python's parameters, or the options of a command."""

from __future__ import annotations

import shlex
from abc import abstractmethod
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any

from skcnn._text import listing

#: How a caller gives a value: from a parameter's name and its value to text, or None where the caller cannot give it.
Say = Callable[[str, str | dict[str, str]], str | None]


class _InCallersWords:
    """An error that names parameters as its reader gives them."""

    def __str__(self) -> str:
        return self._explain(lambda name, value: f"{name}={value!r}")

    def for_command(self, options: Container[str]) -> str:
        """Return the message in the words of a command.

        Parameters
        ----------
        options : container of str
            Names of the command's options, such as ``"weights"``. Advice that needs others is left out.

        Returns
        -------
        str
        """

        def say(name: str, value: str | dict[str, str]) -> str | None:
            if name not in options:
                return None
            values = [value] if isinstance(value, str) else [f"{key}={item}" for key, item in value.items()]
            return " ".join(f"--{name} {item}" for item in values)

        return self._explain(say)

    @abstractmethod
    def _explain(self, say: Say) -> str: ...


class WeightsDownloadError(_InCallersWords, OSError):
    """Weights that Keras publishes are not on this machine and could not be downloaded.

    Parameters
    ----------
    missing : dict of str to (Path, str)
        Names of backbones; for each, the path where Keras looks for its file, and the URL of the file.
    reason : str
        Why the download failed.
    with_classifier : bool, default=False
        Whether these are the files with a classifier.

    Attributes
    ----------
    missing, reason, with_classifier
        As given.
    """

    def __init__(self, missing: Mapping[str, tuple[Path, str]], reason: str, with_classifier: bool = False):
        super().__init__(missing, reason)
        self.missing = {name: (Path(path), url) for name, (path, url) in missing.items()}
        self.reason = reason
        self.with_classifier = with_classifier

    def __reduce__(self) -> tuple[Any, ...]:
        """Be copied to and from worker processes."""
        return type(self), (self.missing, self.reason, self.with_classifier)

    def _explain(self, say: Say) -> str:
        names = list(self.missing)
        paths = [path for path, _ in self.missing.values()]
        files = listing((path.name for path in paths), limit=len(paths))
        commands = "".join(f"\n  curl -f -L -o {shlex.quote(str(path))} {url}" for path, url in self.missing.values())
        message = (
            f"The weights of {listing(names, limit=len(names))} could not be downloaded: {self.reason}.\n"
            f"Keras looks for {files} in {paths[0].parent} (KERAS_HOME moves that folder). To put "
            f"{'it' if len(names) == 1 else 'them'} there:{commands}"
        )
        if given := say("weights", "PATH" if len(names) == 1 else dict.fromkeys(names, "PATH")):
            kind = "with its classifier" if self.with_classifier else "without a classifier (notop, no_top)"
            message += (
                f"\nA file elsewhere is given as {given}: that one, {kind}, or one that Keras saved from the same "
                "network (.h5 or .weights.h5)."
            )
        if not self.with_classifier and (given := say("backbone", "ResNet20")):
            message += f" ResNet20 needs no download: its weights come with skcnn ({given})."
        return message


class WrongWeightsError(_InCallersWords, ValueError):
    """A weights file holds the weights of another network, or was not saved by Keras.

    Parameters
    ----------
    path : Path
        The file.
    backbone : str
        Name of the network that it was to be loaded into.
    reason : str
        What does not fit.
    url : str or None
        Address of the file that Keras publishes for the network; None if there is none.
    with_classifier : bool, default=False
        Whether the network has its classifier, so that the file must have it too.

    Attributes
    ----------
    path, backbone, reason, url, with_classifier
        As given.
    """

    def __init__(self, path: Path, backbone: str, reason: str, url: str | None, with_classifier: bool = False):
        super().__init__(path, backbone, reason, url)
        self.path, self.backbone, self.reason, self.url = path, backbone, reason, url
        self.with_classifier = with_classifier

    def __reduce__(self) -> tuple[Any, ...]:
        """Be copied to and from worker processes."""
        return type(self), (self.path, self.backbone, self.reason, self.url, self.with_classifier)

    def _explain(self, say: Say) -> str:
        published = f"the one that Keras publishes ({self.url}), or " if self.url else ""
        message = (
            f"{self.path} does not hold the weights of {self.backbone}: {self.reason}\nThe file that fits is "
            f"{published}a .weights.h5 or .h5 file that Keras saved from {self.backbone}, with "
            f"{'' if self.with_classifier else 'or without '}its classifier."
        )
        if given := say("backbone", "MODEL.keras"):
            message += (
                f" For another network, or for this one as a part of a model of yours, give the model itself: {given}."
            )
        return message
