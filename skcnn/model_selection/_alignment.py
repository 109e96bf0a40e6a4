"""How alike two images are once one has been laid over the other."""

from __future__ import annotations

import numpy as np

SIDE = 64
"""Images are compared as grey squares of this side: small enough to be quick, large enough to show fine detail."""

_PROMISING = 0.45
"""Pairs that look less alike at half that side are not looked at closer."""

_IDENTITY = np.array([1, 0, 1, 0], np.float32)
_MAX_STRETCH, _MAX_SHIFT = 1.25, 0.15  # of a side: alignments beyond that mean that there is none


def aligned_similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Lay each image of ``a`` over its partner in ``b`` and tell how well their details agree.

    An image and its crop differ by a stretch and a shift along each axis. These four numbers are found by
    Gauss-Newton steps on the squared difference (Lucas and Kanade 1981), all pairs at once, from coarse to fine. What
    is then compared is detail: the local mean is taken away and the local contrast divided out, so that neither
    brightness nor a frame around the image nor the mere layout (a bright blob on a dark ground) makes two different
    images alike.

    Parameters
    ----------
    a, b : ndarray of shape (n_pairs, SIDE, SIDE), float32
        Grey images, values in [0, 255].

    Returns
    -------
    ndarray of shape (n_pairs,), float32
        Correlations of the details where the two overlap, in [-1, 1]; those of unpromising pairs are coarser ones.
    """
    half_a, half_b = _halved(a), _halved(b)
    warps = np.tile(_IDENTITY, (len(a), 1))
    warps = _aligned(_shapes(half_a), _shapes(half_b), warps, steps=5)
    warps = _aligned(_details(half_a), _details(half_b), warps, steps=4)
    similarity = _overlap_correlation(_even_details(half_a), _even_details(half_b), warps)
    closer = np.flatnonzero(similarity > _PROMISING)
    if len(closer):
        a, b, warps = a[closer], b[closer], warps[closer] * np.array([1, 2, 1, 2], np.float32)
        warps = _aligned(_shapes(a), _shapes(b), warps, steps=2)
        warps = _aligned(_details(a), _details(b), warps, steps=3)
        similarity[closer] = _overlap_correlation(_even_details(a), _even_details(b), warps)
    return similarity


def box_blur(images: np.ndarray, width: int) -> np.ndarray:
    """Return the local means over ``width`` (odd) pixels along both sides; the outermost pixels are repeated."""
    for axis in (1, 2):
        size = images.shape[axis]
        padding = [(0, 0)] * images.ndim
        padding[axis] = (width // 2, width // 2)
        padded = np.pad(images, padding, "edge")
        total = np.take(padded, range(size), axis=axis)
        for start in range(1, width):
            total += np.take(padded, range(start, start + size), axis=axis)
        images = total / width
    return images


def _halved(images: np.ndarray) -> np.ndarray:
    n_images, side = images.shape[:2]
    return images.reshape(n_images, side // 2, 2, side // 2, 2).mean((2, 4))


def _shapes(images: np.ndarray) -> np.ndarray:
    """Return what is wider than a few pixels and narrower than a dozen: it can be followed over a larger distance."""
    smooth = box_blur(images, 5)
    return _standardized(smooth - box_blur(smooth, 11))


def _details(images: np.ndarray) -> np.ndarray:
    return _standardized(images - box_blur(box_blur(images, 5), 5))


def _even_details(images: np.ndarray) -> np.ndarray:
    """Return details of even contrast all over the image, so that no strong edge outweighs the rest."""
    details = images - box_blur(box_blur(images, 5), 5)
    # Three levels of 255 are about what JPEG does to an empty sky: less is noise, and not to be blown up.
    return details / (np.sqrt(box_blur(details**2, 9)) + 3)


def _standardized(images: np.ndarray) -> np.ndarray:
    images = images - images.mean((1, 2), keepdims=True)
    return images / (images.std((1, 2), keepdims=True) + 1e-3)


def _aligned(a: np.ndarray, b: np.ndarray, warps: np.ndarray, *, steps: int) -> np.ndarray:
    """Improve ``warps`` (stretch and shift along x, then along y) by Gauss-Newton steps."""
    side = a.shape[1]
    place = _places(side)
    limit = np.array([_MAX_STRETCH, _MAX_SHIFT * side] * 2, np.float32)
    lowest = np.array([1 / _MAX_STRETCH, -_MAX_SHIFT * side] * 2, np.float32)
    for _ in range(steps):
        warped, weights = _warped(a, warps)
        along_y, along_x = np.gradient(warped, axis=(1, 2))
        slopes = [along_x * place / side, along_x, along_y * place[:, None] / side, along_y]
        jacobian = np.stack([slope.reshape(len(a), -1) for slope in slopes], axis=1)
        weighted = jacobian * weights.reshape(len(a), 1, -1)
        # An image without detail along an axis has nothing to be aligned by: the small term keeps it in its place.
        squares = weighted @ jacobian.transpose(0, 2, 1) + 0.1 * np.eye(4, dtype=np.float32)
        step = np.linalg.solve(squares, weighted @ (b - warped).reshape(len(a), -1, 1))[..., 0].clip(-1.5, 1.5)
        # The step is taken in the warped image: first step, then warp.
        stretch, shift = 1 + step[:, ::2] / side, step[:, 1::2]
        warps = warps.copy()
        warps[:, 1::2] += warps[:, ::2] * shift
        warps[:, ::2] *= stretch
        warps = warps.clip(lowest, limit)
    return warps


def _warped(images: np.ndarray, warps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return stretched and shifted images, and 1 where they are inside the frame, 0 elsewhere."""
    side = images.shape[1]
    (rows, inside_y), (columns, inside_x) = (
        _interpolation(warps[:, [axis]] * _places(side) + warps[:, [axis + 1]], side) for axis in (2, 0)
    )
    return rows @ images @ columns.transpose(0, 2, 1), inside_y[:, :, None] * inside_x[:, None, :]


def _interpolation(places: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return matrices (n, side, side) that interpolate linearly at ``places``, and which of these are inside."""
    pixels = places + (side - 1) / 2
    inside = ((pixels > -0.51) & (pixels < side - 0.49)).astype(np.float32)
    distance = np.abs(pixels.clip(0, side - 1)[:, :, None] - np.arange(side, dtype=np.float32))
    return np.maximum(0, 1 - distance), inside


def _places(side: int) -> np.ndarray:
    """Return where pixels lie, in pixels from the middle."""
    return np.arange(side, dtype=np.float32) - (side - 1) / 2


def _overlap_correlation(a: np.ndarray, b: np.ndarray, warps: np.ndarray) -> np.ndarray:
    warped, weights = _warped(a, warps)
    area = weights.sum((1, 2), keepdims=True)
    warped, b = (weights * (image - (weights * image).sum((1, 2), keepdims=True) / area) for image in (warped, b))
    products = (warped * b).sum((1, 2))
    return products / np.sqrt((warped**2).sum((1, 2)) * (b**2).sum((1, 2)) + 1e-6)
