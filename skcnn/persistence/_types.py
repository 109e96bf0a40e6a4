"""Which types a saved file may hold beside those that skops knows to be harmless, and which of skops's it may not.

A type is in the lists of this file only after its source was read: building one from a file stores attributes and
numbers, and calls nothing that the file chooses. That is not enough where compiled code takes indices from these
arrays without a look at them: a forged one ends the process, or worse. So such types are denied.
"""

from __future__ import annotations

from functools import cache

_SPLITTERS = (
    "GroupKFold",
    "GroupShuffleSplit",
    "KFold",
    "LeaveOneGroupOut",
    "LeaveOneOut",
    "RepeatedKFold",
    "RepeatedStratifiedKFold",
    "ShuffleSplit",
    "StratifiedGroupKFold",
    "StratifiedKFold",
    "StratifiedShuffleSplit",
    "TimeSeriesSplit",
)
_KERNELS = (
    "CompoundKernel",
    "ConstantKernel",
    "DotProduct",
    "ExpSineSquared",
    "Exponentiation",
    "Matern",
    "Product",
    "RBF",
    "RationalQuadratic",
    "Sum",
    "WhiteKernel",
)

#: Classes whose objects hold attributes, no more.
TRUSTED_CLASSES = frozenset(
    {
        "skcnn.decomposition.ConvAutoencoder",
        "skcnn.decomposition.VariationalAutoencoder",
        "skcnn.detection.CNNDetector",
        "skcnn.detection.CNNLocalizer",
        "skcnn.detection.CalibratedDetector",
        "skcnn.detection.SlidingWindowDetector",
        "skcnn.ensemble.BaggedSGDClassifier",
        "skcnn.feature_extraction.BottleneckFeatures",
        "skcnn.generative.ImageGAN",
        "skcnn.generative.StyleTransfer",
        "skcnn.images._digests.ImageDigests",
        "skcnn.metric_learning.FaceCrop",
        "skcnn.metric_learning.FaceRecognizer",
        "skcnn.metric_learning.FaceVerifier",
        "skcnn.metric_learning.TripletEmbedding",
        "skcnn.metric_learning._gallery.Gallery",
        "skcnn.metrics._training_features.TrainingFeatures",
        "skcnn.neural_network.CNNClassifier",
        "skcnn.neural_network.CNNRegressor",
        "skcnn.neural_network.ImageNetClassifier",
        "skcnn.segmentation.CNNSegmenter",
        "skcnn.segmentation.InstanceSegmenter",
        "skcnn.persistence._distributions.StoredDistribution",
        "skcnn.tracking.ObjectTracker",
        "skcnn.tracking.TrackNoise",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.calibration._TemperatureScaling",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.metrics._scorer._CurveScorer",
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.metrics._scorer._Scorer",
        "sklearn._loss.loss.HalfTweedieLoss",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.multiclass._ConstantPredictor",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
        *(f"sklearn.gaussian_process.kernels.{kernel}" for kernel in _KERNELS),
        *(f"sklearn.model_selection._split.{splitter}" for splitter in _SPLITTERS),
    }
)

_TREES = "a forged tree can end the process; use a linear classifier (BaggedSGDClassifier, LogisticRegression) instead"
_SEARCH_TREES = "a forged one can end the process; use algorithm='brute' instead"
_KERNEL_SVM = "forged support vectors can end the process; use LinearSVC instead"

#: Beginnings of names, and why no file may hold these types.
DENIED = {
    "scipy.stats.": "building it runs text from the file",
    "sklearn.ensemble._forest.": _TREES,
    "sklearn.ensemble._gb.": _TREES,
    "sklearn.ensemble._hist_gradient_boosting.": _TREES,
    "sklearn.ensemble._iforest.": _TREES,
    "sklearn.tree.": _TREES,
    "sklearn.neighbors._ball_tree.": _SEARCH_TREES,
    "sklearn.neighbors._kd_tree.": _SEARCH_TREES,
    "sklearn.neighbors._kde.": _SEARCH_TREES,
    "sklearn.neighbors._quad_tree.": _SEARCH_TREES,
    "sklearn.cluster._birch.": "a forged tree of clusters can end the process; use KMeans instead",
    "sklearn.cluster._hdbscan.": "a forged tree of clusters can end the process; use KMeans instead",
    "scipy.interpolate._bsplines.": "a forged spline can end the process; use PolynomialFeatures instead",
    "sklearn.svm._classes.NuSVC": _KERNEL_SVM,
    "sklearn.svm._classes.NuSVR": _KERNEL_SVM.replace("LinearSVC", "LinearSVR"),
    "sklearn.svm._classes.OneClassSVM": _KERNEL_SVM.replace("LinearSVC", "SGDOneClassSVM"),
    "sklearn.svm._classes.SVC": _KERNEL_SVM,
    "sklearn.svm._classes.SVR": _KERNEL_SVM.replace("LinearSVC", "LinearSVR"),
    "sklearn.svm._libsvm": _KERNEL_SVM,
}


def denial(name: str) -> str | None:
    """Return why no file may hold a type, given by its full name; None if it may."""
    return next((reason for beginning, reason in DENIED.items() if name.startswith(beginning)), None)


@cache
def trusted_functions() -> frozenset[str]:
    """Return the names of functions of arrays: metrics behind scikit-learn's scorers and ours, scores of features."""
    from sklearn.metrics import get_scorer, get_scorer_names

    metrics = (get_scorer(name)._score_func for name in get_scorer_names())
    scores = ("f_classif", "f_regression", "chi2", "mutual_info_classif", "mutual_info_regression")
    return frozenset(
        {
            "numpy.max",
            "numpy.mean",
            "numpy.median",
            "numpy.min",
            "numpy.sum",
            "skcnn.metrics._average_precision.average_precision",
            "skcnn.metrics._average_precision.average_recall",
            "skcnn.metrics._box_overlap.localization_accuracy",
            "skcnn.metrics._box_overlap.mean_iou",
            *(f"{metric.__module__}.{metric.__name__}" for metric in metrics),
            *(f"sklearn.feature_selection._univariate_selection.{score}" for score in scores[:3]),
            *(f"sklearn.feature_selection._mutual_info.{score}" for score in scores[3:]),
        }
    )
