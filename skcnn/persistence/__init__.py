"""Save and load fitted estimators in one file that can be shared: loading runs no code from it.

The file is a zip archive: ``manifest.json`` (format, versions, a SHA-256 of every other member), ``estimator.skops``
(scikit-learn's parts, by skops), ``networks/*.keras`` and ``weights/*.h5`` (networks and weights that were given as
objects or by path, so that the file is whole by itself; the published ones are named, not copied),
and optionally ``program/``, which :func:`load_program` reads.
"""

from skcnn.persistence._errors import ModelFileError, UntrustedTypesError
from skcnn.persistence._save_load import load, load_program, read_manifest, save

__all__ = ["ModelFileError", "UntrustedTypesError", "load", "load_program", "read_manifest", "save"]
