"""Images in TFRecord files, the format of ``tf.data`` and of TensorFlow Datasets, without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skcnn._stores import Options
from skcnn._text import values_text
from skcnn.datasets._shard_files import Pattern, Shard, open_shard, read_at
from skcnn.datasets._shards import Places, ShardedImages
from skcnn.datasets._tfrecord_format import FOOT, HEAD, Values, features_of, length_of, masked_crc


class TFRecordImages(ShardedImages):
    """Images in TFRecord files, as X.

    Each record is a ``tf.train.Example`` with an encoded image, as written by TensorFlow Datasets and
    :func:`write_tfrecords`. TensorFlow is not used.

    Parameters
    ----------
    pattern : str, path-like or sequence of these
        Paths or patterns of the shards, such as ``"train-*.tfrecord"``; the matches of a pattern are taken in natural
        order. They are not compressed.
    image : str, default="image"
        Name of the feature with the encoded image; ``"image/encoded"`` in older data sets.
    label : str, default="label"
        Name of the feature with the label, for :meth:`labels`; ``"image/class/label"`` in older data sets.
    storage_options : dict or None, default=None
        Arguments of fsspec's file system if the pattern is a URL, such as ``"s3://bucket/train-*.tfrecord"`` (extra
        ``remote``): ``{"key": ..., "secret": ...}``. None: what the environment and fsspec's own files say.

    Attributes
    ----------
    shards : list of Shard
        Path, size in bytes and time of change in ns of each file; of URLs, what the store says of changes.

    Raises
    ------
    FileNotFoundError
        If a pattern matches no file.
    ImportError
        If ``google-crc32c`` is not installed; it comes with the extra ``tfrecord``.
    ValueError
        If the first record has no such feature, or a file is not in this format.

    See Also
    --------
    write_tfrecords : Writes such files.
    skcnn.images.ImageSource : What all sources can do.

    Notes
    -----
    To find the records, 12 bytes of each are read when the source is opened. Shards in a store are fetched whole for
    it, in pieces of 1 MiB that are not kept, unless their records are larger. The checksums of lengths are verified
    then, and those of records whenever they are read: a damaged record is a row without an image, named by shard and
    offset. After a damaged length, no further record of that shard can be found; the rest of the shard is one such row.

    References
    ----------
    TensorFlow, "TFRecord and tf.train.Example", https://www.tensorflow.org/tutorials/load_data/tfrecord, section
    "TFRecords format details".

    Examples
    --------
    >>> import tempfile
    >>> from skcnn.datasets import TFRecordImages, load_digit_images, write_tfrecords
    >>> X, y = load_digit_images(return_X_y=True)
    >>> folder = tempfile.mkdtemp()
    >>> shards = write_tfrecords(X[:300], y[:300], folder, images_per_shard=100)
    >>> source = TFRecordImages(f"{folder}/*.tfrecord")
    >>> source, source[::2].labels()[:5].tolist()
    (<TFRecordImages of 300 images>, [0, 2, 4, 6, 8])
    """

    def __init__(
        self, pattern: Pattern, *, image: str = "image", label: str = "label", storage_options: Options | None = None
    ):
        self.image, self.label = image, label
        super().__init__(pattern, storage_options)
        self._check_first()

    def _check_first(self) -> None:
        """Raise where the features are called otherwise; a damaged record is a matter of its row alone."""
        try:
            ((_, content),) = self._contents(range(min(len(self), 1)))
            features = self._features(content)
        except (OSError, ValueError):
            return
        if self.image not in features:
            raise ValueError(self._missing("image", self.image, features))

    def _missing(self, parameter: str, name: str, features: dict[str, Values]) -> str:
        return (
            f"{parameter}={name!r}; expected one of the features of the records, {values_text(sorted(features), 10)}."
        )

    def _index(self, shard: Shard) -> Places:
        offsets: list[int] = []
        sizes: list[int] = []
        reasons: dict[int, str] = {}
        at = 0
        with open_shard(shard, self.storage_options) as file:
            while at < shard.size:
                head = read_at(file, at, HEAD)
                length = length_of(head)
                if at == 0 and length is None:
                    is_gzip = head[:2] == b"\x1f\x8b"
                    what = "is compressed by gzip: decompress it" if is_gzip else "is damaged, or has another format"
                    raise ValueError(
                        f"{shard.path} {what}; expected a TFRecord file, which begins with the length of its first "
                        "record."
                    )
                if length is None or at + HEAD + length + FOOT > shard.size:
                    what = "its length is damaged" if length is None else "the file ends within it"
                    reasons[len(offsets)] = f"damaged record: {what}, and no record after it can be found"
                offsets.append(at)
                sizes.append(HEAD + (length or 0) + FOOT)
                if reasons:
                    break
                at += sizes[-1]
        return Places(np.array(offsets, np.int64), np.array(sizes, np.int64), reasons)

    def _features(self, content: bytes | Exception) -> dict[str, Values]:
        """Return the features of a record with its checksum compared."""
        if isinstance(content, Exception):
            raise content
        data = content[HEAD:-FOOT]
        if int.from_bytes(content[-FOOT:], "little") != masked_crc(data):
            raise ValueError("damaged record: its checksum does not match")
        return features_of(data)

    def _image(self, content: bytes, row: int) -> bytes:
        features = self._features(content)
        images = features.get(self.image, [])
        if not len(images):
            raise ValueError(self._missing("image", self.image, features))
        if not isinstance(images, list) or len(images) > 1:
            raise ValueError(f"the feature {self.image!r} holds {len(images)} values; expected one encoded image")
        return images[0]

    def read_labels(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the labels of rows: integers, floats or text. The records are read for them, images included.

        Raises
        ------
        skcnn.images.BadImageError
            If records are damaged, or have no such feature.
        """
        parsed: dict[int, object] = {}
        for row, content in self._contents(rows):
            try:
                features = self._features(content)
                if not len(values := features.get(self.label, [])):
                    raise ValueError(self._missing("label", self.label, features))
                plain = [str(value, "utf-8") for value in values] if isinstance(values, list) else values.tolist()
                parsed[row] = plain[0] if len(plain) == 1 else plain
            except Exception as error:
                parsed[row] = error
        return self._parsed_labels(rows, parsed)
