"""Images that a network makes: by another image's style."""

from skcnn.generative._style_progress import StyleProgress
from skcnn.generative._style_transfer import StyleTransfer

# Where users find them, and how saved files call them.
StyleProgress.__module__ = StyleTransfer.__module__ = __name__

__all__ = ["StyleProgress", "StyleTransfer"]
