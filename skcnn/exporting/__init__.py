"""A fitted estimator as one file for a runtime, from pixels to probabilities: ONNX, OpenVINO or LiteRT.

The network and what follows it (scaling, a linear classifier, calibration) become one graph. Only decoding and resizing
stay outside: how images are to be resized is written in the file.
"""

from skcnn.exporting._bottleneck import bottleneck_features
from skcnn.exporting._export import export, make_program, program_runtime

__all__ = ["bottleneck_features", "export", "make_program", "program_runtime"]
