"""Generated images: networks that make new ones like those of a set, and images in the style of others."""

from skcnn.generative._displays import GeneratedImagesDisplay, GenerationHistoryDisplay, InterpolationDisplay
from skcnn.generative._image_gan import ImageGAN
from skcnn.generative._judge import CollapseWarning
from skcnn.generative._style_progress import StyleProgress
from skcnn.generative._style_transfer import StyleTransfer

# Where users find them, and how saved files call them.
for _public in (CollapseWarning, ImageGAN, StyleProgress, StyleTransfer):
    _public.__module__ = __name__

__all__ = [
    "CollapseWarning",
    "GeneratedImagesDisplay",
    "GenerationHistoryDisplay",
    "ImageGAN",
    "InterpolationDisplay",
    "StyleProgress",
    "StyleTransfer",
]
