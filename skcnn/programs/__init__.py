"""Programs: a saved model's network and head as one graph, which OpenVINO or ONNX Runtime runs from the file.

A process that predicts with a program imports NumPy, Pillow and the runtime, and neither scikit-learn nor Keras. A
program comes from a file, and a file may come from anybody: what it holds is checked before the runtime sees it.
"""

from skcnn.programs._program import MEMBERS, Program, ProgramError, ProgramNetwork

__all__ = ["MEMBERS", "Program", "ProgramError", "ProgramNetwork"]
