"""What decides the features of an image: the plan of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from skcnn.backbones import Backbone, Weights
from skcnn.engines._saved_network import SavedNetwork

ENGINES = ("auto", "keras", "openvino")
"""What the parameter ``engine`` may be."""
PRECISIONS = ("float32", "bfloat16")
"""What the parameter ``precision`` may be."""


class Output(NamedTuple):
    """One part of a record: a bottleneck layer and how it is pooled ("avg", "max" or None)."""

    layer: str
    pooling: str | None


@dataclass(frozen=True)
class Plan:
    """Everything that determines the features of an image; equal fingerprints give equal records.

    The engine is not part of it: in float32, engines agree to five digits.

    Parameters
    ----------
    backbone : Backbone
        The network.
    weights : str, path-like, WeightsFile, PartialWeights or None
        Weights of the network: see :meth:`skcnn.backbones.Backbone.build`.
    weights_id : str
        Identifier of these weights.
    random_state : int
        Seed of ``weights=None``.
    image_size : tuple of (height, width)
        In pixels.
    resize : {"stretch", "crop", "pad"}
        How images are resized to that size.
    precision : {"float32", "bfloat16"}
        What the network computes in.
    outputs : tuple of Output
        The parts of a record, in order.
    saved : SavedNetwork or None, default=None
        What gives the record, instead of the backbone. ``weights_id`` has its digest: what comes from a file is no
        record of the published network that the file names.
    """

    backbone: Backbone
    weights: Weights
    weights_id: str
    random_state: int
    image_size: tuple[int, int]
    resize: str
    precision: str
    outputs: tuple[Output, ...]
    saved: SavedNetwork | None = None

    @property
    def network(self) -> str:
        """What identifies the network and what is wanted of it, in any precision."""
        return repr((self.backbone.identity, self.weights_id, self.image_size, tuple(map(tuple, self.outputs))))

    @property
    def fingerprint(self) -> str:
        """What identifies a record's meaning, beside the image's content."""
        # The number is raised when decoding, resizing or a network's preprocessing begins to give other features.
        return repr(("v2", self.network, self.precision, self.resize))
