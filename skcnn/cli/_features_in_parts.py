"""A folder of features in parts, and the network that computed them, which is beside them in a file."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._stores import fetch, store

if TYPE_CHECKING:
    from skcnn.distributed import FeatureParts

NETWORK = "network.skcnn"
"""What ``skcnn extract --rows-per-part`` calls the file of the network in the folder of parts."""


def is_features(data: str) -> bool:
    """Tell whether data are features in parts: a folder with their manifest, or a URL."""
    if "://" in data:
        return True
    try:
        manifest = json.loads((Path(data) / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and "rows_per_part" in manifest


def write_network(transformer: Any, folder: str) -> None:
    """Save the network beside the features that it computed."""
    from skcnn.persistence import save

    if "://" not in folder:
        save(transformer, os.path.join(folder, NETWORK))
        return
    with tempfile.TemporaryDirectory() as here:
        save(transformer, os.path.join(here, NETWORK))
        store(f"{folder.rstrip('/')}/{NETWORK}", Path(here, NETWORK).read_bytes())


def load_network(features: FeatureParts, folder: str) -> Any:
    """Load the network that computed features; raise if there is none, or if it gives features of other names."""
    from skcnn.persistence import load

    where = f"{folder.rstrip('/')}/{NETWORK}"
    advice = f"`skcnn extract --rows-per-part` writes it; in Python, skcnn.save(transformer, '{where}') does."
    if "://" in folder:
        try:
            content = fetch(where)
        except FileNotFoundError:
            raise FileNotFoundError(f"{folder} has no {NETWORK}, the network of these features. {advice}") from None
        with tempfile.TemporaryDirectory() as here:
            Path(here, NETWORK).write_bytes(content)
            network = load(os.path.join(here, NETWORK))
    else:
        path = os.path.join(folder, NETWORK)
        if not os.path.isfile(path):
            raise FileNotFoundError(f"{folder} has no {NETWORK}, the network of these features. {advice}")
        network = load(path)
    names = [str(name) for name in network.get_feature_names_out()]
    if names != features.feature_names:
        raise ValueError(
            f"{NETWORK} in {folder} gives {len(names):,} features, the first of them {names[0]}; the parts have "
            f"{features.shape[1]:,}, the first of them {features.feature_names[0]}. {advice}"
        )
    return network
