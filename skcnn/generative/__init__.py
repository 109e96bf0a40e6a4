"""Generated images: networks that make new ones like those of a set."""

from skcnn.generative._displays import GeneratedImagesDisplay, GenerationHistoryDisplay, InterpolationDisplay
from skcnn.generative._image_gan import ImageGAN
from skcnn.generative._judge import CollapseWarning

# Where users find them, and how saved files call them.
ImageGAN.__module__ = CollapseWarning.__module__ = __name__

__all__ = [
    "CollapseWarning",
    "GeneratedImagesDisplay",
    "GenerationHistoryDisplay",
    "ImageGAN",
    "InterpolationDisplay",
]
