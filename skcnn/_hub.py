"""Presets of KerasHub on local disk: their folder, and how they take images."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np

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
