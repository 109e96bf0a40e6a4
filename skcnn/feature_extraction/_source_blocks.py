"""Rows that are read together, of a source or URLs, in blocks: each is read once, while the last one is computed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from skcnn._timing import same_recorder, timed
from skcnn.cache import ActivationCache, FeatureCache, MemoryCache
from skcnn.images import BadRow, HeldImages, Images

#: Rows of the first block, whose sizes are not known.
FIRST_ROWS = 64
#: Rows of the others: the network pauses between blocks.
MAX_ROWS = 512
#: Bytes of a block, by the sizes of the images before it.
MAX_BYTES = 64 * 2**20


class Block(NamedTuple):
    """Consecutive rows: the first one, the images, and their digests where a cache asks for them."""

    start: int
    images: HeldImages
    digests: list[tuple[int, bytes | BadRow]] | None


def blocks_of(all_images: Images, cache: MemoryCache | FeatureCache | ActivationCache | None) -> Iterator[Block]:
    """Yield rows that are read together in blocks, in order; what is not known by its stamp is read, and held."""

    def begin(start: int, n_rows: int) -> Block:
        images = HeldImages(all_images, range(start, min(start + n_rows, len(all_images))))
        rows = range(len(images))
        if cache is not None:
            return Block(start, images, list(cache.digests(images, rows)))
        images.fetch(rows)
        return Block(start, images, None)

    n_rows, start = FIRST_ROWS, 0
    with ThreadPoolExecutor(1, thread_name_prefix="skcnn-source", initializer=same_recorder()) as thread:
        reading = thread.submit(begin, 0, n_rows)
        while start < len(all_images):
            with timed("wait"):
                block = reading.result()
            start += len(block.images)
            if sizes := block.images.sizes():
                n_rows = int(max(1, min(MAX_ROWS, MAX_BYTES * len(sizes) // max(sum(sizes), 1))))
            reading = thread.submit(begin, start, n_rows)
            yield block
