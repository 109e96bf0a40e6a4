"""The recipes of the documentation for Ray and Spark, run where these are installed, each in a process of its own."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skcnn.datasets import load_digit_images
from skcnn.feature_extraction import BottleneckFeatures

PAGE = Path(__file__).parents[2] / "docs" / "how_to" / "large_data.md"

#: What a process runs before a recipe: as many processes as the recipe asks for, whatever the cores of this machine.
BEFORE = {
    "ray": "import ray\nray.init(num_cpus=4, include_dashboard=False)\n",
    "pyspark": "import os\nos.environ['PYSPARK_SUBMIT_ARGS'] = '--master local[2] pyspark-shell'\n",
}


def recipe(engine):
    """Return the recipe of the page that imports an engine."""
    blocks = re.findall(r"^```\{code-block\} python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (found,) = (block for block in blocks if re.search(rf"^(import|from) {engine}\b", block, re.MULTILINE))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "folder"), [("ray", "by_ray"), ("pyspark", "by_spark")])
def test_a_recipe_gives_the_features_of_one_process(engine, folder, tmp_path):
    if importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed")
    X, y = load_digit_images(return_X_y=True)
    for row in range(60):
        (tmp_path / "digits" / str(y[row])).mkdir(parents=True, exist_ok=True)
        Image.fromarray(X[row]).save(tmp_path / "digits" / str(y[row]) / f"{row}.png")
    (tmp_path / "recipe.py").write_text(BEFORE[engine] + recipe(engine))
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, "recipe.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = pd.read_parquet(tmp_path / folder)
    assert len(found) == 60
    paths = [str(tmp_path / path) for path in found["path"]]
    assert [Path(path).parent.name for path in paths] == found["label"].tolist()
    assert len(set(paths)) == 60
    expected = BottleneckFeatures("ResNet20", cache=None, verbose=0).transform(paths)
    np.testing.assert_allclose(np.stack(found["features"]), expected, atol=1e-5)


def test_each_engine_has_one_recipe():
    for engine in BEFORE:
        compile(recipe(engine), str(PAGE), "exec")
