"""The Displays of :mod:`skcnn.metrics`, which is where they are imported from."""
