"""Visual inspection: where in an image a network looked, and a map of many images.

A network may be right for the wrong reason: the caption below the animal, the snow behind it. :class:`GradCAMDisplay`
shows which regions of an image supported a class, a mask or a similarity, :class:`WindowHeatDisplay` what a detector
sees in the windows of an image. :class:`ImageMapDisplay` draws thumbnails at two coordinates, so that clusters, wrong
labels and images that do not belong are seen at a glance.
"""

from skcnn.inspection._explainable import check_explainable
from skcnn.inspection._grad_cam import GradCAMDisplay
from skcnn.inspection._image_map import ImageMapDisplay
from skcnn.inspection._window_heat import WindowHeatDisplay

__all__ = ["GradCAMDisplay", "ImageMapDisplay", "WindowHeatDisplay", "check_explainable"]
