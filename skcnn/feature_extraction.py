"""BottleneckFeatures: images in, the features of a pretrained network out, as a scikit-learn transformer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import validate_data

from skcnn._keras import is_keras_model, model_digest, model_from_bytes, model_to_bytes
from skcnn.backbones import Backbone, WeightsFile, as_backbone, as_weights_file
from skcnn.cache import memory_cache
from skcnn.engines import (
    ENGINES,
    PRECISIONS,
    Output,
    Plan,
    extract_chunk,
    extract_records,
    get_engine,
    network_lock,
)
from skcnn.images import (
    RESIZE_RULES,
    BadImageError,
    BadImageWarning,
    BadRow,
    Images,
    as_image_size,
    as_images,
    bad_rows_frame,
    map_ahead,
)

POOLINGS = ("avg", "max")

_members: ContextVar[dict[str, bytes] | None] = ContextVar("members", default=None)


@contextmanager
def packed_members(members: dict[str, bytes]) -> Iterator[dict[str, bytes]]:
    """Have estimators put networks and weight files that they were given into ``members``, or take them from there.

    Inside the block an estimator's state names such a member in place of the object or the path, so that what is
    stored beside the members is plain data.
    """
    token = _members.set(members)
    try:
        yield members
    finally:
        _members.reset(token)


class BottleneckFeatures(TransformerMixin, BaseEstimator):
    """Features of images from a bottleneck layer of a pretrained convolutional network.

    The layer before the classifier of a network that was trained on a large set of pictures describes other pictures
    well: a linear classifier on top of it is a strong and quick baseline. The transformer is stateless: ``fit``
    checks and learns nothing, and ``transform`` works without it.

    An image goes through a network once in a process: with ``cache="memory"`` its features are kept by the image's
    content, so that the folds and the candidates of a search, ``predict`` on the same pictures and a second
    transformer with other ``layers`` or ``pooling`` cost no second pass.

    Parameters
    ----------
    backbone : str, keras.Model, path or callable, default="MobileNetV2"
        A name of :func:`skcnn.backbones.list_backbones`; a Keras model that takes pixels in [0, 255] (its own
        preprocessing inside) or the path of one (``.keras``); or a callable ``build(input_shape=(h, w, 3))`` that
        returns such a model. The default is small (2.2 million parameters), quick on a CPU, and good.
    weights : {"pretrained"}, str, path or None, default="pretrained"
        ``"pretrained"``: the backbone's own (ImageNet for the networks of ``keras.applications``, downloaded by Keras
        at first use); their name, such as ``"imagenet"`` or ``"cifar10"``; the path of a ``.h5`` or ``.weights.h5``
        file, saved with or without the classifier; or None for random ones. A Keras model brings its own along.
    layers : str, int, list of these or None, default=None
        Bottleneck layers, whose features are joined: names of the table's column ``layers``, or names or indices of
        layers of the Keras network. None is the last one, right before the classifier.
    pooling : {"avg", "max"} or None, default="avg"
        How a feature map (height, width, channels) becomes channels. None flattens it instead: many features, which
        know where in the picture they are.
    image_size : int, (height, width) or None, default=None
        Size in pixels that pictures are resized to. None is the size that the network was trained at.
    resize : {"stretch", "crop", "pad"}, default="stretch"
        What becomes of another aspect ratio: see :func:`skcnn.images.resize_image`. ``"stretch"`` keeps all of the
        picture and all of the network's input.
    root : path-like or None, default=None
        Folder (or URL) that relative paths in X start from. None is the current folder.
    batch_size : int, default=32
        Images that go through the network together. Larger ones bring little on a CPU and take memory.
    precision : {"float32", "bfloat16"}, default="float32"
        What the network computes in. The features are float32 in any case.
    engine : {"auto", "keras"}, default="auto"
        What runs the network. ``"keras"`` is Keras on whichever backend it is configured for; ``"auto"`` takes the
        best engine at hand, which is Keras.
    cache : {"memory"} or None, default="memory"
        ``"memory"`` keeps features in the process, 1 GiB at most (:func:`skcnn.cache.memory_cache`); k worker
        processes of a parallel search each keep their own and may pay for an image k + 1 times. None keeps nothing.
    on_error : {"raise", "nan"}, default="raise"
        What to do about rows that give no picture (missing, unreadable, too large). ``"raise"``: a
        :class:`~skcnn.images.BadImageError` that names them all. ``"nan"``: a row of NaN each, and one
        :class:`~skcnn.images.BadImageWarning`.
    max_pixels : int or None, default=None
        Pictures with more pixels are refused before they are decoded. None stands for Pillow's limit, some 89
        million, beyond which it warns of decompression bombs.
    n_jobs : int or None, default=None
        Number of processes, each with a network of its own (joblib's meaning: None is 1 unless a
        ``joblib.parallel_config`` says otherwise). One process already uses all cores, for decoding and for the
        network, so this is for clusters.
    random_state : int, default=0
        Seed of ``weights=None``; nothing else is random.
    verbose : int, default=0
        1 shows a progress bar of the images that go through the network, in a terminal and in a notebook.

    Attributes
    ----------
    n_features_in_ : int
        1, after ``fit`` on a one-column frame or an (n, 1) array. Not set otherwise.
    feature_names_in_ : ndarray of shape (1,), dtype object
        The name of the column, after ``fit`` on a frame.

    See Also
    --------
    skcnn.backbones.list_backbones : Which networks there are.
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

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "backbone": "no_validation",  # resolved by as_backbone, which says more
        "weights": "no_validation",
        "layers": "no_validation",
        "pooling": [StrOptions(set(POOLINGS)), None],
        "image_size": "no_validation",
        "resize": [StrOptions(set(RESIZE_RULES))],
        "root": "no_validation",
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "precision": [StrOptions(set(PRECISIONS))],
        "engine": [StrOptions(set(ENGINES))],
        "cache": [StrOptions({"memory"}), None],
        "on_error": [StrOptions({"raise", "nan"})],
        "max_pixels": [Interval(Integral, 1, None, closed="left"), None],
        "n_jobs": [Integral, None],
        "random_state": [Interval(Integral, 0, 2**32 - 1, closed="both")],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        backbone: Any = "MobileNetV2",
        *,
        weights: Any = "pretrained",
        layers: Any = None,
        pooling: str | None = "avg",
        image_size: int | tuple[int, int] | None = None,
        resize: str = "stretch",
        root: Any = None,
        batch_size: int = 32,
        precision: str = "float32",
        engine: str = "auto",
        cache: str | None = "memory",
        on_error: str = "raise",
        max_pixels: int | None = None,
        n_jobs: int | None = None,
        random_state: int = 0,
        verbose: int = 0,
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
        """Check the parameters and the form of X; nothing is learned and no picture is decoded.

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
        ValueError, TypeError
            If a parameter or X is not acceptable.
        """
        self._check_input(X, reset=True)
        self._outputs(self._backbone())
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the features of images.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float32

        Raises
        ------
        BadImageError
            If rows give no picture and ``on_error="raise"``.
        ValueError, TypeError
            If a parameter or X is not acceptable.
        OSError
            If weights are missing; the message says which file, and where it is looked for.
        """
        images = self._check_input(X, reset=False)
        backbone = self._backbone()
        outputs = self._outputs(backbone)
        plan = self._plan(backbone, outputs)
        features = np.full((len(images), self._n_features(plan, outputs)), np.nan, np.float32)
        with network_lock(plan):
            bad = self._fill(features, images, plan, outputs)
        if bad:
            frame = bad_rows_frame(bad)
            if self.on_error == "raise":
                raise BadImageError(frame, len(images))
            warnings.warn(BadImageWarning(frame, len(images)), stacklevel=2)
        return features

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
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
        shapes = self._output_shapes(self._plan(backbone, outputs), outputs)
        for output, shape in zip(outputs, shapes, strict=True):
            # A layer that gives a vector by itself has nothing to pool.
            pooling = "" if output.pooling is None else f"{output.pooling}_"
            prefix = f"{backbone.name}_{output.layer}_{pooling}"
            names += [prefix + "_".join(map(str, index)) for index in np.ndindex(*shape)]
        return np.array(names, dtype=object)

    def _check_input(self, X: Any, *, reset: bool) -> Images:
        self._validate_params()
        images = as_images(X, root=self.root)
        if not len(images):
            raise ValueError("X holds no images: Found array with 0 sample(s), while a minimum of 1 is required.")
        if reset:
            for name in ("n_features_in_", "feature_names_in_"):
                self.__dict__.pop(name, None)
        if hasattr(X, "columns") and (reset or hasattr(self, "feature_names_in_")):
            validate_data(self, X, reset=reset, skip_check_array=True)
        elif reset and len(getattr(X, "shape", ())) == 2:
            self.n_features_in_ = 1
        return images

    def _backbone(self) -> Backbone:
        size = None if self.image_size is None else as_image_size(self.image_size)
        return as_backbone(self.backbone, image_size=size)

    def _outputs(self, backbone: Backbone) -> tuple[Output, ...]:
        """Return what ``layers`` and ``pooling`` ask for."""
        layers = [backbone.layers[-1].name] if self.layers is None else self.layers
        if isinstance(layers, (str, Integral)):
            layers = [layers]
        if not isinstance(layers, Sequence) or not layers:
            raise ValueError(f"layers={self.layers!r}; accepted: a layer's name or index, a list of these, or None")
        return tuple(Output(backbone.layer_name(layer), self.pooling) for layer in layers)

    def _plan(self, backbone: Backbone, outputs: tuple[Output, ...]) -> Plan:
        # One pass stores every layer of the table, pooled both ways; anything else is a record of its own.
        listed = tuple(Output(layer.name, pooling) for layer in backbone.layers for pooling in POOLINGS)
        return Plan(
            backbone=backbone,
            weights=self.weights,
            weights_id=backbone.weights_id(self.weights, self.random_state),
            random_state=self.random_state,
            image_size=backbone.image_size if self.image_size is None else as_image_size(self.image_size),
            resize=self.resize,
            precision=self.precision,
            outputs=listed if self.cache is not None and set(outputs) <= set(listed) else outputs,
        )

    def _output_shapes(self, plan: Plan, outputs: tuple[Output, ...]) -> list[tuple[int, ...]]:
        sizes = {layer.name: layer.n_features for layer in plan.backbone.layers}
        if all(output.pooling is not None and output.layer in sizes for output in outputs):
            return [(sizes[output.layer],) for output in outputs]  # known without building the network
        shapes = dict(zip(plan.outputs, get_engine(plan).output_shapes, strict=True))
        return [shapes[output] for output in outputs]

    def _n_features(self, plan: Plan, outputs: tuple[Output, ...]) -> int:
        return int(sum(np.prod(shape, dtype=int) for shape in self._output_shapes(plan, outputs)))

    def _fill(self, features: np.ndarray, images: Images, plan: Plan, outputs: tuple[Output, ...]) -> list[BadRow]:
        """Write the features of all rows, and return the rows that gave no picture."""
        from tqdm.auto import tqdm

        columns = _columns(self._output_shapes(plan, plan.outputs), plan.outputs, outputs)
        cache = memory_cache()
        bad: list[BadRow] = []
        digests: dict[int, bytes] = {}
        copies: list[tuple[int, int]] = []
        if self.cache is None:
            missing = list(range(len(images)))
        else:
            missing = []
            paid_by: dict[bytes, int] = {}
            for row, digest in map_ahead(lambda row: cache.digest(images, row), range(len(images)), 1024):
                if isinstance(digest, BadRow):
                    bad.append(digest._replace(path=images.path(row)))
                elif digest in paid_by:
                    copies.append((row, paid_by[digest]))
                elif (record := cache.get(plan.fingerprint, digest)) is not None:
                    features[row] = record[columns]
                else:
                    missing.append(row)
                    digests[row], paid_by[digest] = digest, row
        # What the cache holds takes no time worth showing.
        hidden = not (self.verbose and missing)
        progress = tqdm(total=len(missing), desc=plan.backbone.name, unit="image", disable=hidden)
        for rows, records, failed in self._records(images, missing, plan, skip=bool(bad)):
            bad += failed
            for row, record in zip(rows, records, strict=True):
                features[row] = record[columns]
                if self.cache is not None:
                    # A copy, lest a record keep its whole batch alive.
                    cache.put(plan.fingerprint, digests[row], record.copy())
            cache.count(passes=len(rows))
            progress.update(len(rows) + len(failed))
        progress.close()
        reasons = {failed.row: failed for failed in bad}
        for row, source in copies:
            if source in reasons:
                bad.append(reasons[source]._replace(row=row, path=images.path(row)))
            else:
                features[row] = features[source]
                cache.count(hits=1)
        return bad

    def _records(
        self, images: Images, rows: list[int], plan: Plan, *, skip: bool
    ) -> Iterator[tuple[list[int], np.ndarray, list[BadRow]]]:
        """Yield rows, their records (n, n_values) and the rows that failed, a batch at a time."""
        stop_at_error = self.on_error == "raise"
        options = (plan, self.batch_size, self.max_pixels, stop_at_error)
        chunk = 8 * self.batch_size
        if len(rows) <= chunk or effective_n_jobs(self.n_jobs) == 1:
            yield from extract_records(images, rows, *options, skip=skip and stop_at_error)
            return
        if type(get_active_backend()[0]).__name__ == "MultiprocessingBackend":
            raise RuntimeError(
                "n_jobs > 1 with joblib's backend 'multiprocessing' forks, after which Keras hangs: use 'loky', "
                "joblib's default."
            )
        chunks = [rows[start : start + chunk] for start in range(0, len(rows), chunk)]
        results = Parallel(n_jobs=self.n_jobs, return_as="generator")(
            delayed(extract_chunk)(images.take(chunk), *options, skip=skip and stop_at_error) for chunk in chunks
        )
        for chunk_rows, batches in zip(chunks, results, strict=True):
            for local, records, failed in batches:
                yield (
                    [chunk_rows[row] for row in local],
                    records,
                    [bad._replace(row=chunk_rows[bad.row]) for bad in failed],
                )

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle, or for a file that must be whole by itself (see :func:`packed_members`)."""
        state = dict(super().__getstate__())
        members = _members.get()
        if members is None:
            return state
        backbone, weights = state["backbone"], state["weights"]
        if isinstance(backbone, Backbone) or (callable(backbone) and not is_keras_model(backbone)):
            raise TypeError(
                f"backbone={backbone!r} cannot be saved without its code: register it "
                "(skcnn.backbones.register_backbone) and give its name, or give the Keras model that it builds."
            )
        network = as_backbone(backbone).network
        if network is not None:
            name = f"networks/{model_digest(network)}.keras"
            members[name] = model_to_bytes(network)
            state["backbone"] = {"member": name}
        file = None if weights is None else as_weights_file(weights)
        if file is not None:
            name = f"weights/{file.sha256}{file.suffix}"
            members[name] = file.content
            state["weights"] = {"member": name}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`__getstate__` returned."""
        state, members = dict(state), _members.get() or {}
        # State names a member by a dict, which is no value that either parameter takes.
        if isinstance(state["backbone"], dict):
            state["backbone"] = model_from_bytes(members[state["backbone"]["member"]])
        if isinstance(state["weights"], dict):
            name = state["weights"]["member"]
            state["weights"] = WeightsFile(members[name], name.partition(".")[1] + name.partition(".")[2])
        super().__setstate__(state)

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn that ``transform`` needs no ``fit``."""
        return True

    def __sklearn_tags__(self) -> Tags:
        """Return the tags that tell scikit-learn what the transformer takes and gives."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags


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
