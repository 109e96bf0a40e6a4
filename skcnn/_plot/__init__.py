"""What Displays of several packages draw with: colours, new figures, a grid of images, and thumbnails."""
