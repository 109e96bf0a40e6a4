"""The flower images of TensorFlow's tutorials."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sklearn.datasets import get_data_home

from skcnn.datasets._folder import load_image_folder
from skcnn.datasets._remote import RemoteArchive, fetch_archive

# Size and digest as published by TensorFlow Datasets: tensorflow_datasets/url_checksums/tf_flowers.txt
_FLOWERS = RemoteArchive(
    url="https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz",
    folder="flower_photos",
    n_bytes=228_813_984,
    sha256="4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c",
)

_CLASSES = ["daisy", "dandelion", "roses", "sunflowers", "tulips"]

_DESCR = """\
The flower images of TensorFlow's tutorials
-------------------------------------------
3,670 colour images from Flickr in their natural sizes (about 320 x 240 pixels): daisy 633, dandelion 898, roses
641, sunflowers 699, tulips 799. There is no split into training and test images.

Licence: Creative Commons Attribution 2.0 (https://creativecommons.org/licenses/by/2.0/). The photographers are named
in the file LICENSE.txt beside the class folders: credit them where you show their work.

Reference: The TensorFlow Team. Flowers. January 2019.
http://download.tensorflow.org/example_images/flower_photos.tgz
"""


def fetch_flowers(
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Any:
    """Load the 3,670 flower images of TensorFlow's tutorials (classification), downloading them if necessary.

    =================   ================================================
    Classes                                                            5
    Samples total                                                   3670
    Download                                                      229 MB
    Features             images in colour, about 320 x 240 pixels
    =================   ================================================

    Parameters
    ----------
    data_home : str or path-like or None, default=None
        Folder to keep the data in, in its sub-folder ``flower_photos``. None takes the one of scikit-learn
        (:func:`sklearn.datasets.get_data_home`): ``~/scikit_learn_data``, or the environment variable
        ``SCIKIT_LEARN_DATA``.

    download_if_missing : bool, default=True
        Whether to download the images if they are not in ``data_home``; otherwise an OSError is raised.

    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    n_retries : int, default=3
        Number of retries when the connection fails.

    delay : float, default=1.0
        Seconds between retries.

    Returns
    -------
    flowers : :class:`~sklearn.utils.Bunch`
        Dictionary-like object as from :func:`load_image_folder` (``data``, ``target``, ``target_names``, ``frame``,
        ``passed_over``), with the following attribute added.

        DESCR : str
            The description of the data set, with its licence.

    (data, target) : tuple if ``return_X_y=True``
        The DataFrame of paths, shape (3670, 1), and the array of labels, shape (3670,).

    Raises
    ------
    OSError
        If the images are not there and ``download_if_missing`` is False, or the download fails, or what was downloaded
        is not the archive whose SHA-256 digest TensorFlow Datasets publishes.

    Notes
    -----
    The folder ``flower_photos`` appears in one step, after the archive was checked and unpacked beside it: it is whole
    or it is not there, even if the process is killed.

    References
    ----------
    .. [1] The TensorFlow Team. `Flowers <https://www.tensorflow.org/datasets/catalog/tf_flowers>`_. January 2019.

    Examples
    --------
    >>> from skcnn.datasets import fetch_flowers
    >>> flowers = fetch_flowers()  # doctest: +SKIP
    >>> flowers.data.shape, flowers.target_names  # doctest: +SKIP
    ((3670, 1), ['daisy', 'dandelion', 'roses', 'sunflowers', 'tulips'])
    """
    home = Path(get_data_home(data_home))
    folder = home / _FLOWERS.folder
    if not folder.is_dir():
        if not download_if_missing:
            raise OSError(
                f"The flower images are not in {str(folder)!r}, and download_if_missing is False. Set it to True, or "
                f"unpack {_FLOWERS.url} in {str(home)!r}."
            )
        fetch_archive(_FLOWERS, home, n_retries=n_retries, delay=delay)
    flowers = load_image_folder(folder, categories=_CLASSES)
    if return_X_y:
        return flowers.data, flowers.target
    flowers.DESCR = _DESCR
    return flowers
