"""BottleneckFeatures: images in, the features of a pretrained network out, as a scikit-learn transformer."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from platformdirs import user_cache_path
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metadata_routing import UNUSED

from skcnn._files import replacing, write_reserved
from skcnn._image_input import ImageInputMixin
from skcnn._keras import is_keras_model, model_digest, model_to_bytes
from skcnn._network_files import check_archive, check_hdf5, network_from_archive
from skcnn._progress import progress_bar
from skcnn.backbones import Backbone, Weights, WeightsFile, as_backbone, as_weights_file
from skcnn.cache import FeatureCache, as_cache
from skcnn.engines import ENGINES, PRECISIONS, Output, Plan, SavedNetwork, get_engine, get_saved_engine, network_lock
from skcnn.feature_extraction._extraction import Extraction, extract
from skcnn.images import (
    RESIZE_RULES,
    BadImageError,
    BadImageWarning,
    BadRow,
    Images,
    as_image_size,
    bad_rows_frame,
    remembered,
    warn_if_shrunk,
)

if TYPE_CHECKING:
    import keras
    from numpy.typing import ArrayLike

POOLINGS = ("avg", "max")


class BottleneckFeatures(ImageInputMixin, TransformerMixin, BaseEstimator):
    """Features of images from a bottleneck layer of a pretrained convolutional network.

    The layer before the classifier of a network that was trained on a large set of images describes other images
    well: a linear classifier on top of it is a strong and quick baseline. The transformer is stateless: ``fit``
    checks and learns nothing, and ``transform`` works without it.

    An image goes through a network once: its features are kept by the image's content, in the process or in a
    directory, so that the folds and the candidates of a search, ``predict`` on the same images and a second
    transformer with other ``layers`` or ``pooling`` cost no second pass.

    Parameters
    ----------
    backbone : str, keras.Model, path or callable, default="MobileNetV2"
        A name of :func:`skcnn.backbones.list_backbones`; a Keras model that takes pixels in [0, 255] (its own
        preprocessing inside) or the path of one (``.keras``); or a callable ``build(input_shape=(h, w, 3))`` that
        returns such a model. The default is small (2.2 million parameters), quick on a CPU, and good.
    weights : {"pretrained"}, str, path, dict or None, default="pretrained"
        ``"pretrained"``: the backbone's own (ImageNet for the networks of ``keras.applications``, downloaded at first
        use, or before by :func:`skcnn.backbones.fetch_weights`); their name, such as ``"imagenet"`` or ``"cifar10"``;
        the path of a ``.h5`` or ``.weights.h5`` file, saved with or without the classifier; or None for random ones.
        A Keras model brings its own along. For a search over backbones, a dict from their names to these:
        ``{"MobileNetV2": "mobilenet.h5", "ResNet20": "pretrained"}``.
    layers : str, int, list of these or None, default=None
        Bottleneck layers, whose features are joined: names of the table's column ``layers``, or names or indices of
        layers of the Keras network. None is the last one, right before the classifier.
    pooling : {"avg", "max"} or None, default="avg"
        How a feature map (height, width, channels) becomes channels. None flattens it instead: many features, each of
        which belongs to a place in the image.
    image_size : int, (height, width) or None, default=None
        Size in pixels that images are resized to. None is the size that the network was trained at.
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How to handle other aspect ratios: see :func:`skcnn.images.resize_image`. ``"stretch"`` keeps all of the
        image and all of the network's input.
    root : path-like or None, default=None
        Folder (or URL) that relative paths in X start from. None is the current folder.
    batch_size : int or None, default=None
        Images that go through the network together. None is 32 on a CPU, where larger batches gain little and take
        memory; on a GPU it is found by trial.
    precision : {"float32", "bfloat16"}, default="float32"
        What the network computes in. The features are float32 in any case. ``"bfloat16"`` is about twice as fast on
        processors that support it (and more on GPUs), with three digits: :data:`skcnn.engines.TOLERANCES`.
    engine : {"auto", "keras", "openvino"}, default="auto"
        What runs the network. ``"keras"`` is Keras on whichever backend it is configured for. ``"openvino"`` (extra
        ``openvino``) is OpenVINO, on a CPU: the network is exported once, which takes about ten seconds, and kept
        beside the cache or in the user's cache folder. ``"auto"`` measures both where both are installed, once per
        network and machine, and takes the faster one; jobs too small for an export to pay off are run by Keras. Their
        features differ in the sixth digit.
    cache : {"memory"}, path-like, FeatureCache or None, default="memory"
        Where features are kept by the content of the image. ``"memory"``: in the process, 1 GiB at most
        (:func:`skcnn.cache.memory_cache`); k worker processes of a parallel search each keep their own and may compute
        an image k + 1 times. A directory (:class:`skcnn.cache.FeatureCache`, 10 GiB at most): permanent, and shared by
        any number of processes, so that each image is computed once; what was computed stays, even if the run is
        killed. None: no cache.
    on_error : {"raise", "nan"}, default="raise"
        How to handle rows without an image (missing, unreadable, too large). ``"raise"``: a
        :class:`~skcnn.images.BadImageError` that names them all. ``"nan"``: a row of NaN each, and one
        :class:`~skcnn.images.BadImageWarning`. Most classifiers do not accept NaN: before a pipeline that ends with
        one, remove these rows with :func:`skcnn.images.drop_bad_images` instead.
    max_pixels : int or None, default=None
        Images with more pixels are rejected before they are decoded. None is Pillow's limit, about 89 million, beyond
        which it warns of decompression bombs.
    n_jobs : int or None, default=None
        Number of processes, each with a network of its own (joblib's meaning: None is 1 unless a
        ``joblib.parallel_config`` says otherwise). One process already uses all cores, for decoding and for the
        network, so this is for clusters (joblib's backends of Dask and Ray). On a machine with a GPU the processes of
        joblib's own backend would each load the network there, so that a single process is used instead.
    random_state : int, default=0
        Seed of ``weights=None``; nothing else is random. None is not accepted: all clones in a search must have the
        same network, and the seed is part of the cache key.
    verbose : int or "auto", default="auto"
        Whether to show a progress bar of the images that go through the network. "auto" shows one in a terminal or a
        notebook where the job takes longer than 5 seconds, 1 from the first image on, 0 never.

    Attributes
    ----------
    n_features_in_ : int
        1, after ``fit`` on a one-column frame or an (n, 1) array. Not set otherwise.
    feature_names_in_ : ndarray of shape (1,), dtype object
        The name of the column, after ``fit`` on a frame.

    See Also
    --------
    skcnn.backbones.list_backbones : Which networks there are.
    skcnn.cache.FeatureCache : What a directory for ``cache`` is, with another size limit for instance.
    skcnn.ensemble.BaggedSGDClassifier : A quick classifier for such features.

    References
    ----------
    A. S. Razavian, H. Azizpour, J. Sullivan, S. Carlsson, "CNN features off-the-shelf: an astounding baseline for
    recognition", CVPR Workshops 2014, sections 2 and 3.

    Examples
    --------
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.feature_extraction import BottleneckFeatures
    >>> digits = load_digit_images()
    >>> features = BottleneckFeatures("ResNet20").transform(digits.data[:5])
    >>> features.shape, str(features.dtype)
    ((5, 64), 'float32')
    """

    # Where the features go is nothing that a pipeline hands on.
    __metadata_request__transform = {"out": UNUSED}  # noqa: RUF012

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "backbone": "no_validation",  # resolved by as_backbone, which says more
        "weights": "no_validation",
        "layers": "no_validation",
        "pooling": [StrOptions(set(POOLINGS)), None],
        "image_size": "no_validation",
        "resize": [StrOptions(set(RESIZE_RULES))],
        "root": "no_validation",
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "precision": [StrOptions(set(PRECISIONS))],
        "engine": [StrOptions(set(ENGINES))],
        "cache": "no_validation",  # as_cache says more
        "on_error": [StrOptions({"raise", "nan"})],
        "max_pixels": [Interval(Integral, 1, None, closed="left"), None],
        "n_jobs": [Integral, None],
        "random_state": [Interval(Integral, 0, 2**32 - 1, closed="both")],
        "verbose": ["verbose", StrOptions({"auto"})],
    }

    def __init__(
        self,
        backbone: str | os.PathLike[str] | Backbone | keras.Model | Callable[..., keras.Model] = "MobileNetV2",
        *,
        weights: Weights = "pretrained",
        layers: str | int | Sequence[str | int] | None = None,
        pooling: str | None = "avg",
        image_size: int | tuple[int, int] | None = None,
        resize: str = "stretch",
        root: str | os.PathLike[str] | None = None,
        batch_size: int | None = None,
        precision: str = "float32",
        engine: str = "auto",
        cache: str | os.PathLike[str] | FeatureCache | None = "memory",
        on_error: str = "raise",
        max_pixels: int | None = None,
        n_jobs: int | None = None,
        random_state: int = 0,
        verbose: int | str = "auto",
    ):
        self.backbone = backbone
        self.weights = weights
        self.layers = layers
        self.pooling = pooling
        self.image_size = image_size
        self.resize = resize
        self.root = root
        self.batch_size = batch_size
        self.precision = precision
        self.engine = engine
        self.cache = cache
        self.on_error = on_error
        self.max_pixels = max_pixels
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> BottleneckFeatures:
        """Check the parameters and the form of X; nothing is learned and no image is decoded.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : ignored
            For the API of scikit-learn.

        Returns
        -------
        self : BottleneckFeatures

        Raises
        ------
        TypeError
            If a parameter or X has the wrong type.
        ValueError
            If a parameter or X is invalid.

        Warns
        -----
        UserWarning
            If images are much larger than the inputs of a network for thumbnails, such as ResNet20.
        """
        images = self._check_input(X, reset=True)
        backbone = self._backbone()
        self._outputs(backbone)
        if self.image_size is None:
            warn_if_shrunk(images, backbone.image_size, backbone.name)
        as_cache(self.cache)
        return self

    def transform(self, X: Any, *, out: str | os.PathLike[str] | None = None) -> np.ndarray:
        """Return the features of images.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        out : path-like or None, default=None
            A ``.npy`` file to write the features to as they come, for more of them than memory holds. It appears
            when it is whole; until then its name ends in ``.part``.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float32
            With ``out``, the file, memory-mapped and read-only.

        Raises
        ------
        BadImageError
            If rows give no image and ``on_error="raise"``.
        TypeError
            If a parameter or X has the wrong type.
        ValueError
            If a parameter or X is invalid.
        OSError
            If weights are missing; the message says which file, and where it is looked for. If the disk has no room
            for ``out``; the message says how many bytes are needed and how many are free.
        """
        images = self._check_input(X, reset=False)
        if out is not None:
            return self._features(images, out)
        return remembered(self, images, lambda: self._features(images, None))

    def _features(self, images: Images, out: str | os.PathLike[str] | None) -> np.ndarray:
        backbone = self._backbone()
        outputs = self._outputs(backbone)
        job = self._job(backbone, outputs)
        # Python's integers: NumPy's own are written to a .npy file's head in a way that it cannot read.
        shape = (len(images), sum(int(np.prod(shape)) for shape in self._find_output_shapes(job, outputs)))
        with _array(shape, out) as features:
            with network_lock(job.plan):
                bad = self._fill(features, images, job, outputs)
            if bad and self.on_error == "raise":
                raise BadImageError(bad_rows_frame(bad), len(images))
        if bad:
            warnings.warn(BadImageWarning(bad_rows_frame(bad), len(images)), stacklevel=3 if out else 5)
        return features if out is None else np.load(out, mmap_mode="r")

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Return the names of the features: backbone, layer, pooling and channel.

        Parameters
        ----------
        input_features : ignored
            For the API of scikit-learn.

        Returns
        -------
        ndarray of shape (n_features,), dtype object
            Such as ``"ResNet20_stage3_unit3_avg_17"``, or with ``pooling=None``
            ``"ResNet20_stage3_unit3_0_5_17"`` (row, column and channel of the feature map).
        """
        self._validate_params()
        backbone = self._backbone()
        names: list[str] = []
        outputs = self._outputs(backbone)
        shapes = self._find_output_shapes(self._job(backbone, outputs), outputs)
        for output, shape in zip(outputs, shapes, strict=True):
            # A layer that gives a vector by itself has nothing to pool.
            pooling = "" if output.pooling is None else f"{output.pooling}_"
            prefix = f"{backbone.name}_{output.layer}_{pooling}"
            names += [prefix + "_".join(map(str, index)) for index in np.ndindex(*shape)]
        return np.array(names, dtype=object)

    def _backbone(self) -> Backbone:
        size = None if self.image_size is None else as_image_size(self.image_size)
        return as_backbone(self.backbone, image_size=size)

    def _outputs(self, backbone: Backbone) -> tuple[Output, ...]:
        """Return what ``layers`` and ``pooling`` ask for."""
        layers = [backbone.layers[-1].name] if self.layers is None else self.layers
        if isinstance(layers, (str, Integral)):
            layers = [layers]
        if not isinstance(layers, Sequence) or not layers:
            raise ValueError(f"layers={self.layers!r}; expected a layer's name or index, a list of these, or None")
        return tuple(Output(backbone.layer_name(layer), self.pooling) for layer in layers)

    def _job(self, backbone: Backbone, outputs: tuple[Output, ...]) -> Extraction:
        cache, saved = as_cache(self.cache), self._saved_network()
        # One pass stores every layer of the table, pooled both ways; anything else is a record of its own.
        listed = tuple(Output(layer.name, pooling) for layer in backbone.layers for pooling in POOLINGS)
        plan = Plan(
            backbone=backbone,
            weights=self.weights,
            weights_id=f"program {saved.digest}" if saved else backbone.weights_id(self.weights, self.random_state),
            random_state=self.random_state,
            image_size=backbone.image_size if self.image_size is None else as_image_size(self.image_size),
            resize=self.resize,
            precision=self.precision,
            outputs=listed if cache is not None and not saved and set(outputs) <= set(listed) else outputs,
            saved=saved,
        )
        return Extraction(
            plan=plan,
            engine=self.engine,
            folder=(cache.folder if isinstance(cache, FeatureCache) else user_cache_path("skcnn")) / "engines",
            cache=cache,
            batch_size=self.batch_size,
            max_pixels=self.max_pixels,
            stop_at_error=self.on_error == "raise",
            n_jobs=self.n_jobs,
        )

    def _saved_network(self) -> SavedNetwork | None:
        """Return the network of the file that this was loaded from, if it runs here and is still that of this."""
        saved, given = vars(self).get("_program") or (None, ())
        if saved is None or given != self._of_network() or get_saved_engine(saved, "features") is None:
            return None
        return saved

    def _of_network(self) -> tuple[Any, ...]:
        """Return the parameters that decide the features."""
        names = "backbone", "weights", "layers", "pooling", "image_size", "resize", "precision", "random_state"
        return tuple(getattr(self, name) for name in names)

    def _find_output_shapes(self, job: Extraction, outputs: tuple[Output, ...]) -> list[tuple[int, ...]]:
        """Find out the shape of each output: from the table, from the cache, or else by building the network.

        The last takes seconds; then the cache keeps the shapes.
        """
        sizes = {layer.name: layer.n_features for layer in job.plan.backbone.layers}
        if all(output.pooling is not None and output.layer in sizes for output in outputs):
            return [(sizes[output.layer],) for output in outputs]
        known = None if job.cache is None else job.cache.output_shapes(job.plan.fingerprint)
        if known is None:
            known = self._build_to_learn_shapes(job)
        shapes = dict(zip(job.plan.outputs, known, strict=True))
        return [shapes[output] for output in outputs]

    def _build_to_learn_shapes(self, job: Extraction) -> tuple[tuple[int, ...], ...]:
        """Build the network of a job, keep the shapes of its outputs in the cache, and return them."""
        shapes = get_engine(job.plan, job.engine, job.folder, 0).output_shapes
        if job.cache is not None:
            job.cache.set_output_shapes(job.plan.fingerprint, shapes)
        return shapes

    def _fill(self, features: np.ndarray, images: Images, job: Extraction, outputs: tuple[Output, ...]) -> list[BadRow]:
        """Write the features of all rows, and return the rows that gave no image."""
        columns = _columns(self._find_output_shapes(job, job.plan.outputs), job.plan.outputs, outputs)
        bad: list[BadRow] = []
        progress, n_done = None, 0
        for part in extract(images, job):
            if part.rows:
                features[part.rows] = part.records[:, columns]
            bad += part.bad
            n_done += len(part.rows) + len(part.bad)
            # What the cache holds takes no time worth showing.
            if self.verbose and part.n_passes and progress is None:
                progress = progress_bar(total=len(images), title=job.plan.backbone.name, verbose=self.verbose)
            if progress is not None:
                progress.update(n_done - progress.n)
        if progress is not None:
            progress.close()
        return bad

    def __skcnn_pack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return the parameters that a saved file has otherwise; what they stand for goes into ``members``."""
        stored: dict[str, Any] = {"_program": None} if "_program" in vars(self) else {}
        if isinstance(as_cache(self.cache), FeatureCache):
            stored["cache"] = "memory"  # a directory of this machine does not belong in a model that others load
        if isinstance(self.backbone, Backbone) or (callable(self.backbone) and not is_keras_model(self.backbone)):
            raise TypeError(
                f"backbone={self.backbone!r} cannot be saved without its code: register it "
                "(skcnn.backbones.register_backbone) and give its name, or give the Keras model that it builds."
            )
        # A member is named by a dict, which is no value that either parameter takes.
        backbone = as_backbone(self.backbone)
        network = backbone.network
        if network is not None:
            name = f"networks/{model_digest(network)}.keras"
            members[name] = model_to_bytes(network)
            check_archive(members[name])
            stored["backbone"] = {"member": name}
        weights = self.weights
        if isinstance(weights, Mapping):
            # Those of other networks stay behind. A search may be of other backbones than the one it was given: such
            # a dict is saved as an empty one.
            has_own = network is not None or backbone.name in weights
            stored["weights"] = weights = backbone.choose_weights(weights) if has_own else {}
        file = None if weights is None else as_weights_file(weights)
        if file is not None:
            name = f"weights/{file.sha256}{file.suffix}"
            members[name] = file.content
            stored["weights"] = {"member": name}
        return stored

    def __skcnn_unpack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return the parameters that :meth:`__skcnn_pack__` returned as they were."""
        given: dict[str, Any] = {"_program": None} if "_program" in vars(self) else {}
        if self.image_size is not None:
            as_image_size(self.image_size)  # bounded, and so what is computed per image
        if isinstance(self.backbone, dict):
            given["backbone"] = network_from_archive(members[self.backbone["member"]])
        elif not isinstance(self.backbone, str) or self.backbone.endswith(".keras"):
            raise ValueError(f"backbone={self.backbone!r} is neither a network in the file nor the name of one")
        if self.weights == {}:
            pass  # was for other networks
        elif isinstance(self.weights, dict):
            name = self.weights["member"]
            check_hdf5(members[name])
            given["weights"] = WeightsFile(members[name], name.partition(".")[1] + name.partition(".")[2])
        elif self.weights is not None and (
            not isinstance(self.weights, str) or self.weights.endswith((".h5", ".hdf5"))
        ):
            raise ValueError(f"weights={self.weights!r} are neither in the file nor the name of published ones")
        return given

    def __skcnn_run_by__(self, program: SavedNetwork) -> None:
        """Let the network of a file run instead of the backbone, as long as the parameters stay as they are."""
        self._program = program, self._of_network()

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn that ``transform`` needs no ``fit``."""
        return True

    def __sklearn_tags__(self) -> Tags:
        """Return the tags that tell scikit-learn what the transformer takes and gives."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = []
        return tags


@contextmanager
def _array(shape: tuple[int, int], path: str | os.PathLike[str] | None) -> Iterator[np.ndarray]:
    """Give an array of NaN to fill; with a path, one in a file that appears when the block is done."""
    if path is None:
        yield np.full(shape, np.nan, np.float32)
        return
    path = Path(path)
    if path.suffix != ".npy" or not path.parent.is_dir() or path.is_dir():
        raise ValueError(f"out={str(path)!r}; expected the path of a .npy file, in a folder that exists")
    with replacing(path, durable=False) as unfinished:
        head = BytesIO()
        about = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(head, about)
        # A disk that is full would end the process, where the pages of a mapped file are written.
        write_reserved(unfinished, head.getvalue(), 4 * shape[0] * shape[1], path)
        features = np.lib.format.open_memmap(unfinished, mode="r+")
        features[:] = np.nan
        yield features
        features.flush()
        del features  # a file that is mapped cannot be moved everywhere


def _columns(
    shapes: list[tuple[int, ...]], record: tuple[Output, ...], wanted: tuple[Output, ...]
) -> slice | np.ndarray:
    """Return which values of a record are wanted, in the order in which they are."""
    if record == wanted:
        return slice(None)
    ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])
    ranges = {
        output: np.arange(end - np.prod(shape, dtype=int), end)
        for output, shape, end in zip(record, shapes, ends, strict=True)
    }
    return np.concatenate([ranges[output] for output in wanted])
