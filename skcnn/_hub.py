"""Presets of KerasHub on local disk: their folder, how they take images, and estimators that are one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import Tags

#: What every preset of KerasHub has; a folder without it is something else.
_OF_A_PRESET = "config.json"


class HubImages(NamedTuple):
    """How a preset takes images: their size, what is done to other aspect ratios, and how pixels are scaled."""

    size: tuple[int, int] | None
    resize: str
    scale: Any
    offset: Any

    @classmethod
    def of_converter(cls, converter: Any) -> HubImages:
        """Return what an image converter of KerasHub does."""
        resize = "pad" if converter.pad_to_aspect_ratio else "crop" if converter.crop_to_aspect_ratio else "stretch"
        size = converter.image_size
        return cls(None if size is None else (int(size[0]), int(size[1])), resize, converter.scale, converter.offset)

    def converted(self, pixels: np.ndarray) -> np.ndarray:
        """Return images (n, height, width, 3) with their pixels scaled, as the network takes them."""
        scale = 1 if self.scale is None else self.scale
        offset = 0 if self.offset is None else self.offset
        return pixels * np.asarray(scale, np.float32) + np.asarray(offset, np.float32)


def preset_of(preset: str | os.PathLike[str]) -> tuple[str, int]:
    """Return the folder of a preset, and when it was written.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If it is not that of a preset.
    """
    folder = os.path.abspath(os.path.expanduser(os.fspath(preset)))
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"preset={os.fspath(preset)!r}: there is no folder {folder!r}; expected one that save_to_preset "
            "wrote, or that was downloaded. Names of presets are not taken."
        )
    if not os.path.exists(os.path.join(folder, _OF_A_PRESET)):
        raise ValueError(f"preset={folder!r} has no {_OF_A_PRESET}; expected the folder of a preset of KerasHub.")
    return folder, os.stat(os.path.join(folder, _OF_A_PRESET)).st_mtime_ns


@contextmanager
def loading(folder: str, *, needed_by: str, instead: str, meant: str, expected: str) -> Iterator[ModuleType]:
    """Give KerasHub to a block that loads the preset of a folder, and say what is wrong where it does not load.

    Parameters
    ----------
    folder : str
        From :func:`preset_of`.
    needed_by, instead : str
        The estimator that needs KerasHub, and one that does not.
    meant, expected : str
        What the preset is loaded as, and what its folder should hold.

    Raises
    ------
    ImportError
        If KerasHub is not installed.
    ValueError
        If the preset cannot be loaded.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise ImportError(f"{needed_by} needs KerasHub: `pip install 'skcnn[hub]'`. A {instead} needs none.") from error
    try:
        yield keras_hub
    except Exception as error:
        raise ValueError(
            f"preset={folder!r} cannot be loaded as {meant} ({type(error).__name__}: {error}); expected the folder of "
            f"a {expected}."
        ) from error


class HubPresetMixin:
    """Mixin of estimators that are a preset, which is their parameter ``preset``: no ``fit``, and not saved."""

    preset: str | os.PathLike[str]

    def __skcnn_pack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Refuse to be saved: what a preset holds is built by KerasHub, and not by what a saved file may hold."""
        raise TypeError(
            f"{type(self).__name__} cannot be saved: its model is the folder {os.fspath(self.preset)!r}. Keep that "
            "folder and the parameters."
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn that nothing needs a ``fit``."""
        return True

    def __sklearn_tags__(self) -> Tags:
        """Return the tags that tell scikit-learn that it needs no ``fit`` and no y."""
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.requires_fit = False
        tags.target_tags.required = False
        return tags
