"""Weights of several networks, looked for and downloaded before any of them is needed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from skcnn.backbones._backbone import Backbone, Weights
from skcnn.backbones._published import PublishedFile, fetch
from skcnn.backbones._registry import backbone_names, get_backbone

if TYPE_CHECKING:
    import pandas as pd


def fetch_weights(backbones: object, weights: Weights = "pretrained") -> dict[str, Path]:
    """Download the weights of networks now, or raise one error that names all that are missing.

    Files that are there are not downloaded again. Keras is not imported, and no network is built. Call it before a
    search over backbones: :class:`~sklearn.model_selection.GridSearchCV` scores a fit that raises an error as NaN, and
    continues.

    Parameters
    ----------
    backbones : str, iterable of str, or anything else that ``backbone=`` may be
        Names of :func:`list_backbones`. Keras models, paths and callables have their own weights and are skipped. The
        files are those without a classifier; a :meth:`Backbone.with_classifier` needs the other one.
    weights : {"pretrained"}, str, path-like, WeightsFile, dict or None, default="pretrained"
        What is given as ``weights=``: see :meth:`Backbone.build`.

    Returns
    -------
    dict of str to Path
        The file that each network needs, by name: a valid ``weights=``. Networks without a file of Keras or of the user
        are left out, such as ``ResNet20``, whose weights come with skcnn.

    Raises
    ------
    WeightsDownloadError
        If files of Keras are missing and cannot be downloaded.
    FileNotFoundError
        If paths do not exist.
    ValueError
        If there is no such backbone, or it has no such weights.

    Examples
    --------
    >>> from skcnn.backbones import fetch_weights
    >>> fetch_weights(["ResNet20", "LeNet5"], weights={"ResNet20": "pretrained", "LeNet5": None})
    {}
    """
    if isinstance(backbones, (str, Backbone)) or not isinstance(backbones, Iterable):
        backbones = [backbones]
    found: dict[str, Path] = {}
    published: dict[str, PublishedFile] = {}
    with_classifier = False
    errors: list[ValueError | FileNotFoundError] = []
    for given in backbones:
        try:
            backbone = get_backbone(given) if isinstance(given, str) and not given.endswith(".keras") else given
            if not isinstance(backbone, Backbone):
                continue
            source = backbone._resolve_weights(weights)
        except (ValueError, FileNotFoundError) as error:
            errors.append(error)
            continue
        if isinstance(source, Path):
            found[backbone.name] = source
        elif isinstance(source, str) and (file := backbone.published_file) is not None:
            published[backbone.name] = file
            with_classifier = with_classifier or backbone.has_classifier
    if errors:
        raise type(errors[0])("\n".join(map(str, errors)))
    fetch(published, with_classifier=with_classifier)
    return found | {name: file.path for name, file in published.items()}


def list_weights_files() -> pd.DataFrame:
    """Return the table of weights files that Keras publishes: what to download for a machine without internet access.

    Returns
    -------
    DataFrame
        One row for each backbone that needs one: ``name`` of the backbone; ``file``, its name; ``url``; ``folder``,
        where Keras looks for it on this machine; ``is_there``, whether it is there.

    Examples
    --------
    >>> from skcnn.backbones import list_weights_files
    >>> list_weights_files().set_index("name").loc["VGG16", "file"]
    'vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5'
    """
    import pandas as pd

    files = {name: file for name in backbone_names() if (file := get_backbone(name).published_file) is not None}
    columns = {
        "name": list(files),
        "file": [file.path.name for file in files.values()],
        "url": [file.url for file in files.values()],
        "folder": [str(file.path.parent) for file in files.values()],
        "is_there": [file.path.is_file() for file in files.values()],
    }
    return pd.DataFrame(columns)
