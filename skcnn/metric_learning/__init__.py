"""Identities: whether two images are of the same person, and who it is.

:class:`FaceVerifier` compares two images by the vectors of any transformer. It is about faces by name only: anything
that has identities will do.

:func:`skcnn.metrics.verification_frame` says how good it is.
"""

from skcnn.metric_learning._face_verifier import FaceVerifier

# Where users find them, and how saved files call them.
FaceVerifier.__module__ = __name__

__all__ = ["FaceVerifier"]
