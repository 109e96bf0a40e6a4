"""Images for the benchmarks: a folder's, brought to one size, or generated ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


def image_files(folder: Path, n_images: int, size: tuple[int, int] | None, source: str | None) -> list[str]:
    """Write ``n_images`` JPEG files, all different, into one class folder of ``folder``, and return their paths.

    Parameters
    ----------
    folder : Path
    n_images : int
    size : tuple of (height, width) or None
        What they are resized to, lest anybody has to resize them; None leaves a folder's images as they are and
        makes generated ones 500 x 375.
    source : str or None
        A folder of images, one folder per class; None generates some.
    """
    (folder / "all").mkdir(parents=True)
    originals = _originals(source)
    paths = []
    for index in range(n_images):
        path = folder / "all" / f"{index:06d}.jpg"
        if originals:
            image = ImageOps.exif_transpose(Image.open(originals[index % len(originals)])).convert("RGB")
        else:
            image = _generated(index, size or (375, 500))
        if size is not None:
            image = image.resize(size[::-1], Image.Resampling.BILINEAR)
        # Where a folder holds too few, other quality makes other images of them.
        image.save(path, quality=90 - index // max(len(originals), 1) % 40 if originals else 90)
        paths.append(str(path))
    return paths


def _originals(source: str | None) -> list[str]:
    if source is None:
        return []
    from skcnn.datasets import load_image_folder

    found = list(load_image_folder(source).data["path"])
    return [found[index] for index in np.random.default_rng(0).permutation(len(found))]


def _generated(seed: int, size: tuple[int, int]) -> Image.Image:
    """Return an image of colours that run into each other, and some grain: it compresses about as camera images do."""
    generator = np.random.default_rng(seed)
    small = Image.fromarray(generator.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    pixels = np.asarray(small.resize(size[::-1], Image.Resampling.BICUBIC), np.int16)
    return Image.fromarray(np.clip(pixels + generator.integers(-12, 13, pixels.shape), 0, 255).astype(np.uint8))
