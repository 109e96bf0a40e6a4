"""Images with their labels, in the form of :mod:`sklearn.datasets`.

``load_*`` reads what is local, ``fetch_*`` downloads. Every one returns a :class:`sklearn.utils.Bunch` with ``data``,
``target`` and ``target_names``. Images in files stay in their files: ``data`` then is a table with a column ``path``,
which every estimator of skcnn takes as X.

:func:`load_voc`, :func:`load_coco` and :func:`load_yolo` read images with boxes, and return X and y. So do
:func:`load_mask_folder`, :func:`load_voc_masks` and :func:`load_coco_masks` with masks.

Images in shards, Parquet files and databases are sources (:class:`skcnn.images.ImageSource`), which every estimator
takes as X: :class:`TFRecordImages`, :class:`TarImages`, :class:`ParquetImages`, :class:`QueryImages`.
"""

from skcnn.datasets._boxes import load_coco, load_voc, load_yolo
from skcnn.datasets._digits import load_digit_images
from skcnn.datasets._flowers import fetch_flowers
from skcnn.datasets._folder import load_image_folder
from skcnn.datasets._masks import VOC_CLASSES, load_coco_masks, load_mask_folder, load_voc_masks
from skcnn.datasets._parquet import ParquetImages
from skcnn.datasets._query import QueryImages
from skcnn.datasets._table import load_image_table
from skcnn.datasets._tar import TarImages
from skcnn.datasets._tfrecord import TFRecordImages
from skcnn.datasets._walk import walk_images
from skcnn.datasets._write_tfrecords import write_tfrecords

__all__ = [
    "VOC_CLASSES",
    "ParquetImages",
    "QueryImages",
    "TFRecordImages",
    "TarImages",
    "fetch_flowers",
    "load_coco",
    "load_coco_masks",
    "load_digit_images",
    "load_image_folder",
    "load_image_table",
    "load_mask_folder",
    "load_voc",
    "load_voc_masks",
    "load_yolo",
    "walk_images",
    "write_tfrecords",
]
