"""Where in an image a classifier looked.

A network may be right for the wrong reason: the caption below the animal, the snow behind it.
:class:`GradCAMDisplay` shows which parts of an image spoke for a class.
"""

from skcnn.inspection._grad_cam import GradCAMDisplay

__all__ = ["GradCAMDisplay"]
