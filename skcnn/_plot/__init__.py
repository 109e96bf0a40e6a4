"""What Displays of several packages draw with: colours, new figures, and a grid of images."""
