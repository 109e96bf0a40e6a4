"""Files beside the package: what they repeat is true, and the package says that it has types."""

import importlib.util
import re
import sys
import tomllib
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest

import skcnn

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_package_says_that_it_has_types():
    assert files("skcnn").joinpath("py.typed").is_file()


@pytest.mark.parametrize(("key", "value"), [("version", skcnn.__version__), ("license", PROJECT["license"])])
def test_citation_is_of_this_version(key, value):
    cited = dict(re.findall(r"(?m)^(\w[\w-]*): (.*)$", (ROOT / "CITATION.cff").read_text("utf-8")))
    assert cited[key] == value


@pytest.mark.parametrize("name", ["SECURITY.md", "CONTRIBUTING.md"])
def test_links_lead_to_files(name):
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text("utf-8")):
        assert target.startswith("http") or (ROOT / target).exists(), target


@pytest.fixture
def noxfile(monkeypatch):
    """Return the module, with a stand-in where nox is not installed."""
    nox = SimpleNamespace(
        options=SimpleNamespace(),
        project=SimpleNamespace(load_toml=lambda path: tomllib.loads((ROOT / path).read_text("utf-8"))),
        session=lambda **options: lambda function: function,
        Session=None,
    )
    monkeypatch.setitem(sys.modules, "nox", nox)
    spec = importlib.util.spec_from_file_location("noxfile", ROOT / "noxfile.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_oldest_versions_are_the_floors(noxfile):
    pins = noxfile.oldest_versions()
    assert "scikit-learn==1.7" in pins
    assert all(re.match(r"[\w\[\]-]+==[\d.]+", pin) for pin in pins)
    assert not any(pin.startswith(("ruff", "mypy")) for pin in pins)


def test_nox_runs_every_python_that_is_supported(noxfile):
    lowest, highest = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()
    assert [f"3.{minor}" for minor in range(int(lowest), int(highest))] == noxfile.PYTHONS
