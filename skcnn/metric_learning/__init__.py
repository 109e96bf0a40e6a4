"""Identities: whether two images are of the same person, and who it is.

:class:`FaceVerifier` compares two images, and :class:`FaceRecognizer` finds one of many enrolled people, both by the
vectors of any transformer; :class:`TripletEmbedding` is a network that is trained to give such vectors. They are about
faces by name only: anything that has identities will do. :class:`FaceCrop` cuts faces out of images, where they are
small in them.

:func:`skcnn.metrics.verification_frame` and :func:`skcnn.metrics.identification_frame` say how good it is.
"""

from skcnn.metric_learning._face_crop import FaceCrop
from skcnn.metric_learning._face_recognizer import FaceRecognizer, Identification
from skcnn.metric_learning._face_verifier import FaceVerifier
from skcnn.metric_learning._pairs import pairs_of
from skcnn.metric_learning._trained import TrainedEmbedding, trained_embedding
from skcnn.metric_learning._triplet_embedding import TripletEmbedding

# Where users find them, and how saved files call them.
FaceRecognizer.__module__ = FaceVerifier.__module__ = TripletEmbedding.__module__ = FaceCrop.__module__ = __name__

__all__ = [
    "FaceCrop",
    "FaceRecognizer",
    "FaceVerifier",
    "Identification",
    "TrainedEmbedding",
    "TripletEmbedding",
    "pairs_of",
    "trained_embedding",
]
