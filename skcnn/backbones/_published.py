"""The weights files that Keras publishes: which one a network needs, where Keras looks for it, and its download."""

from __future__ import annotations

import os
import re
import tempfile
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from skcnn._files import replacing
from skcnn.backbones._errors import WeightsDownloadError

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SERVER = "https://storage.googleapis.com/tensorflow/keras-applications/"

#: Addresses of the files without a classifier, from ``_SERVER`` on, by the name of the function of
#: ``keras.applications``. (A test compares them with what Keras asks for.)
_FILES = {
    "ConvNeXtBase": "convnext/convnext_base_notop.h5",
    "ConvNeXtLarge": "convnext/convnext_large_notop.h5",
    "ConvNeXtSmall": "convnext/convnext_small_notop.h5",
    "ConvNeXtTiny": "convnext/convnext_tiny_notop.h5",
    "ConvNeXtXLarge": "convnext/convnext_xlarge_notop.h5",
    "DenseNet121": "densenet/densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "DenseNet169": "densenet/densenet169_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "DenseNet201": "densenet/densenet201_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "EfficientNetB0": "/keras-applications/efficientnetb0_notop.h5",
    "EfficientNetB1": "/keras-applications/efficientnetb1_notop.h5",
    "EfficientNetB2": "/keras-applications/efficientnetb2_notop.h5",
    "EfficientNetB3": "/keras-applications/efficientnetb3_notop.h5",
    "EfficientNetB4": "/keras-applications/efficientnetb4_notop.h5",
    "EfficientNetB5": "/keras-applications/efficientnetb5_notop.h5",
    "EfficientNetB6": "/keras-applications/efficientnetb6_notop.h5",
    "EfficientNetB7": "/keras-applications/efficientnetb7_notop.h5",
    "EfficientNetV2B0": "efficientnet_v2/efficientnetv2-b0_notop.h5",
    "EfficientNetV2B1": "efficientnet_v2/efficientnetv2-b1_notop.h5",
    "EfficientNetV2B2": "efficientnet_v2/efficientnetv2-b2_notop.h5",
    "EfficientNetV2B3": "efficientnet_v2/efficientnetv2-b3_notop.h5",
    "EfficientNetV2L": "efficientnet_v2/efficientnetv2-l_notop.h5",
    "EfficientNetV2M": "efficientnet_v2/efficientnetv2-m_notop.h5",
    "EfficientNetV2S": "efficientnet_v2/efficientnetv2-s_notop.h5",
    "InceptionResNetV2": "inception_resnet_v2/inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "InceptionV3": "inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "MobileNet": "mobilenet/mobilenet_1_0_224_tf_no_top.h5",
    "MobileNetV2": "mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    "MobileNetV3Large": "mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
    "MobileNetV3Small": "mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
    "NASNetLarge": "nasnet/NASNet-large-no-top.h5",
    "NASNetMobile": "nasnet/NASNet-mobile-no-top.h5",
    "ResNet101": "resnet/resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "ResNet101V2": "resnet/resnet101v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "ResNet152": "resnet/resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "ResNet152V2": "resnet/resnet152v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "ResNet50": "resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "ResNet50V2": "resnet/resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "VGG16": "vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "VGG19": "vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "Xception": "xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
}
#: What Keras calls a file on this machine where that is not its name on the server.
_NAMES = {
    "NASNet-large-no-top.h5": "nasnet_large_no_top.h5",
    "NASNet-large.h5": "nasnet_large.h5",
    "NASNet-mobile-no-top.h5": "nasnet_mobile_no_top.h5",
    "NASNet-mobile.h5": "nasnet_mobile.h5",
}


class PublishedFile(NamedTuple):
    """A weights file that Keras publishes: where Keras looks for it on this machine, and its URL."""

    path: Path
    url: str


def published_file(builder: object, *, with_classifier: bool = False) -> PublishedFile | None:
    """Return the file with the weights of a network.

    Parameters
    ----------
    builder : object
        What builds the network; a function of ``keras.applications`` by its dotted name.
    with_classifier : bool, default=False
        Whether it is the file with the classifier, or the one without.

    Returns
    -------
    PublishedFile or None
        None for any other builder: nobody but itself knows what it needs.
    """
    file = _FILES.get(builder.removeprefix("keras.applications.")) if isinstance(builder, str) else None
    if file is None:
        return None
    if with_classifier:
        file = re.sub(r"[_-]no[_-]?top(_v2)?\.h5$", ".h5", file)
    url = urllib.parse.urljoin(_SERVER, file)
    return PublishedFile(models_folder() / _NAMES.get(name := url.rpartition("/")[2], name), url)


def models_folder() -> Path:
    """Return the folder where Keras looks for weights, without importing Keras."""
    home = os.environ.get("KERAS_HOME")
    if home is None:
        user = os.path.expanduser("~")
        home = os.path.join(user if os.access(user, os.W_OK) else "/tmp", ".keras")
    home = os.path.expanduser(home)
    # So does keras.utils.get_file; a folder that is not there yet is made when Keras is imported.
    if os.path.exists(home) and not os.access(home, os.W_OK):
        home = os.path.join("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir(), ".keras")
    return Path(home, "models")


def fetch(files: Mapping[str, PublishedFile], *, with_classifier: bool = False) -> None:
    """Download the weights files that are not there yet.

    Parameters
    ----------
    files : dict of str to PublishedFile
        By the name of the backbone that needs them.
    with_classifier : bool, default=False
        Whether these are the files with a classifier, for the message.

    Raises
    ------
    WeightsDownloadError
        If some of them cannot be fetched or written; it names them all.
    """
    if all(file.path.is_file() for file in files.values()):
        return
    # Imported late: they take a while, and naming a backbone needs none of them.
    from http.client import HTTPException
    from urllib.error import URLError

    missing: dict[str, tuple[Path, str]] = {}
    reasons: list[str] = []
    is_reachable = True
    for name, file in files.items():
        if file.path.is_file():
            continue
        try:
            if is_reachable:
                _download(file)
                continue
        except (OSError, HTTPException) as error:
            # All files are on one server: where there is no way to it, the next one need not wait for it.
            is_reachable = type(error) is not URLError
            reasons.append(str(error.reason if isinstance(error, URLError) and not is_reachable else error))
        missing[name] = file
    if missing:
        raise WeightsDownloadError(missing, reasons[0], with_classifier=with_classifier)


def _download(file: PublishedFile) -> None:
    """Download a weights file to its place, where it is whole or absent.

    Keras writes under the final name: the next process would load what a killed one left.
    """
    from urllib.request import urlopen

    from tqdm.auto import tqdm

    file.path.parent.mkdir(parents=True, exist_ok=True)
    with (
        urlopen(file.url, timeout=60) as answer,
        replacing(file.path) as unfinished,
        unfinished.open("wb") as target,
    ):
        length = int(answer.headers.get("Content-Length", 0))
        # The bar is shown in a terminal and in a notebook.
        with tqdm(total=length or None, desc=file.path.name, unit="B", unit_scale=True, disable=None) as progress:
            while part := answer.read(1 << 16):
                if not target.tell() and not part.startswith(_HDF5_SIGNATURE):
                    raise OSError("the server sent something else (perhaps the login page of a network)")
                target.write(part)
                progress.update(len(part))
        if target.tell() < max(length, 1):
            raise OSError(f"the connection ended after {target.tell():,} of {length:,} bytes")
