"""Images with their labels, in the form of :mod:`sklearn.datasets`.

``load_*`` reads what is local, ``fetch_*`` downloads. Every one returns a :class:`sklearn.utils.Bunch` with ``data``,
``target`` and ``target_names``. Images in files stay in their files: ``data`` then is a table with a column ``path``,
which every estimator of skcnn takes as X.
"""

from skcnn.datasets._digits import load_digit_images
from skcnn.datasets._flowers import fetch_flowers
from skcnn.datasets._folder import load_image_folder
from skcnn.datasets._table import load_image_table
from skcnn.datasets._walk import walk_images

__all__ = ["fetch_flowers", "load_digit_images", "load_image_folder", "load_image_table", "walk_images"]
