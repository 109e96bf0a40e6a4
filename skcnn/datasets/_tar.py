"""Images in tar files, in the layout of WebDataset."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO, NamedTuple

import numpy as np

from skcnn._stores import Options, fetch, in_pool
from skcnn._text import counted, listing
from skcnn.datasets._folder import image_extensions
from skcnn.datasets._shard_files import Pattern, Shard, open_shard, read_at
from skcnn.datasets._shards import Places, ShardedImages


class _Member(NamedTuple):
    """A file of a sample: offset and bytes of its content."""

    offset: int
    size: int


class TarImages(ShardedImages):
    """Images in tar files, in the layout of WebDataset, as X.

    The members of a sample follow each other and have the same path up to the first dot of the name: ``0001.jpg`` and
    ``0001.cls``. Nothing is unpacked: members are read from their positions in the file.

    Parameters
    ----------
    pattern : str, path-like or sequence of these
        Paths or patterns of the shards, such as ``"train-*.tar"``; the matches of a pattern are taken in natural order.
        They are not compressed.
    label : str, default="cls"
        Extension of the member with the label, for :meth:`labels`: a text file with one number or word.
    storage_options : dict or None, default=None
        Arguments of fsspec's file system if the pattern is a URL, such as ``"s3://bucket/train-*.tar"`` (extra
        ``remote``): ``{"key": ..., "secret": ...}``. None: what the environment and fsspec's own files say.

    Attributes
    ----------
    shards : list of Shard
        Path, size in bytes and time of change in ns of each file; of URLs, what the store says of changes.

    Raises
    ------
    FileNotFoundError
        If a pattern matches no file.
    ValueError
        If a file is not an uncompressed tar archive, or holds no image.

    See Also
    --------
    TFRecordImages : Shards with checksums.
    skcnn.images.ImageSource : What all sources can do.

    Notes
    -----
    The headers of all members are read when the source is opened. Tar has checksums only for headers, so a damaged
    image is only found when it is decoded. After a damaged header, no further member of that shard can be found; this,
    or a truncated shard, gives one row without an image, named by shard and offset.

    References
    ----------
    A. Aizman, G. Maltby, T. Breuel, "High performance I/O for large scale deep learning", IEEE Big Data 2019, section
    IV.

    Examples
    --------
    >>> import io, tarfile, tempfile
    >>> from PIL import Image
    >>> from skcnn.datasets import TarImages
    >>> path = tempfile.mkdtemp() + "/train-0.tar"
    >>> with tarfile.open(path, "w") as tar:
    ...     for number in range(3):
    ...         file = io.BytesIO()
    ...         Image.new("RGB", (8, 8)).save(file, "PNG")
    ...         for extension, content in [("png", file.getvalue()), ("cls", b"%d" % (number % 2))]:
    ...             member = tarfile.TarInfo(f"{number:04}.{extension}")
    ...             member.size = len(content)
    ...             tar.addfile(member, io.BytesIO(content))
    >>> source = TarImages(path)
    >>> source, source.labels().tolist()
    (<TarImages of 3 images>, [0, 1, 0])
    """

    def __init__(self, pattern: Pattern, *, label: str = "cls", storage_options: Options | None = None):
        self.label = label
        labels_at: dict[str, list[_Member | None]] = {}
        self._labels_in = labels_at
        super().__init__(pattern, storage_options)
        self._labels_at = [place for shard in self.shards for place in labels_at[shard.path]]
        del self._labels_in

    def _index(self, shard: Shard) -> Places:
        with open_shard(shard, self.storage_options) as file:
            samples, damaged_at = _samples_of(shard, file)
        labels_at: list[_Member | None] = []
        extensions = {extension.removeprefix(".") for extension in image_extensions()}
        offsets: list[int] = []
        sizes: list[int] = []
        reasons: dict[int, str] = {}
        for members in samples:
            row = len(offsets)
            names = [name for name in members if name.rpartition(".")[2].lower() in extensions]
            place = members[names[0]] if names else next(iter(members.values()))
            if len(names) != 1:
                what = counted(len(names), "image") if names else "no image"
                reasons[row] = f"the sample has {what}, expected one; its members are {listing(members)}"
            elif place.offset + place.size > shard.size:
                reasons[row] = "the shard ends within the image"
            offsets.append(place.offset)
            sizes.append(place.size)
            labels_at.append(members.get(self.label))
        if damaged_at is not None:
            what = "the archive has no end" if damaged_at == shard.size else "damaged header of a member"
            reasons[len(offsets)] = f"{what}, and members after it are missing"
            offsets.append(damaged_at)
            sizes.append(0)
            labels_at.append(None)
        if not offsets:
            raise ValueError(f"{shard.path} holds no files; expected images, such as 0001.jpg, and labels, 0001.cls.")
        self._labels_in[shard.path] = labels_at
        return Places(np.array(offsets, np.int64), np.array(sizes, np.int64), reasons)

    def _image(self, content: bytes, row: int) -> bytes:
        return content

    def read_labels(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the labels of rows: integers if all of them are, otherwise text.

        Raises
        ------
        skcnn.images.BadImageError
            If samples have no such member.
        """

        def label_of(row: int, file: BinaryIO | None = None) -> str:
            shard, place = self.shards[self._shard_of(row)], self._labels_at[row]
            if place is None:
                raise ValueError(f"the sample has no member .{self.label}; label= sets another one")
            stop = place.offset + place.size
            if stop > shard.size:
                raise ValueError("the shard ends within the label")
            if file is None:
                content = fetch(shard.path, self.storage_options, start=place.offset, stop=stop)
            else:
                content = read_at(file, *place)
            return content.decode("utf-8", "surrogateescape").strip()

        by_shard: dict[int, list[int]] = {}
        for row in np.unique(np.asarray(rows, int)).tolist():
            by_shard.setdefault(self._shard_of(row), []).append(row)
        in_stores = [row for number, members in by_shard.items() for row in members if self._is_in_store(number)]
        parsed: dict[int, object] = dict(zip(in_stores, in_pool(label_of, in_stores), strict=True))
        for number, members in by_shard.items():
            if not self._is_in_store(number):
                with open_shard(self.shards[number]) as file:
                    for row in members:
                        try:
                            parsed[row] = label_of(row, file)
                        except ValueError as error:
                            parsed[row] = error
        labels = self._parsed_labels(rows, parsed)
        try:
            return labels.astype(np.int64)
        except ValueError:
            return labels


def _samples_of(shard: Shard, file: BinaryIO) -> tuple[list[dict[str, _Member]], int | None]:
    """Return the members of each sample by extension, and where a damaged header is."""
    samples: list[dict[str, _Member]] = []
    before = None
    try:
        tar = tarfile.open(shard.path, "r:", fileobj=file, errorlevel=0)  # noqa: SIM115 (closed below)
    except tarfile.ReadError:
        raise ValueError(
            f"{shard.path} is not an uncompressed tar archive; expected one. Decompress .tar.gz and "
            "the like first: only a plain archive can be read from any place."
        ) from None
    with tar, suppress(tarfile.ReadError):  # of a shard that ends within a member
        for member in tar:
            tar.members.clear()  # type: ignore[attr-defined]  # which would hold a million of them
            if not member.isfile():
                continue
            folder, _, name = member.name.rpartition("/")
            key, _, extension = name.partition(".")
            if not key or not extension:
                continue  # hidden files, and those without an extension, belong to no sample
            if (folder, key) != before or extension in samples[-1]:
                samples.append({})
                before = folder, key
            samples[-1][extension] = _Member(member.offset_data, member.size)
    end = int(tar.offset)
    # Where tarfile cannot read a header it stops, as it does at the block of zeros that ends an archive.
    is_whole = read_at(file, end, tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
    return samples, None if is_whole else min(end, shard.size)
