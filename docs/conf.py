"""Sphinx configuration: ``python -m sphinx -W --keep-going -b html docs docs/_build`` builds the pages.

The examples of the gallery run for it, offline, which takes about half a minute; ``-D plot_gallery=0`` leaves them out.
"""

import importlib
import inspect
from pathlib import Path

import pandas as pd
from sphinx.pycode import ModuleAnalyzer

import skcnn

project = "skcnn"
author = "The skcnn developers"
copyright = "the skcnn developers"
release = version = skcnn.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples"]
templates_path = ["_templates"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say it with shapes and ranges
# scikit-learn writes set_*_request itself; its docstrings refer to pages of its own user guide.
autodoc_default_options = {
    "exclude-members": ", ".join(
        f"set_{method}_request"
        for method in ("fit", "partial_fit", "predict", "predict_proba", "decision_function", "score", "transform")
    )
}
numpydoc_show_class_members = False  # the class template lists them
# numpydoc links the name of an attribute to whatever attributes have it; which one of several does not matter.
suppress_warnings = ["ref.python"]

copybutton_exclude = ".linenos, .gp, .go"  # what is copied has no prompts and no output
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e9,  # how long an example took on the machine of the build says nothing to a reader
    # Shows what plot() draws, without the object that it returns.
    "ignore_repr_types": r"skcnn\..*Display|skcnn\.report",
}

html_theme = "furo"
html_title = f"skcnn {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False

HERE = Path(__file__).parent


def write_backbones_tables(app):
    """Write the tables that the page ``backbones`` includes: the networks, and their layers."""
    from skcnn.backbones import list_backbones

    table = list_backbones()
    published = pd.read_csv(HERE / "published_accuracy.csv").set_index("name")["imagenet_top1"]
    measured = pd.read_csv(HERE / "backbones_speed.csv").set_index("name")["relative_speed"]
    networks = pd.DataFrame(
        {
            "name": table["name"],
            "pixels": [size[0] for size in table["image_size"]],  # all are square
            "features": [f"{count:,}" for count in table["n_features"]],
            "parameters, millions": [f"{count / 1e6:.3g}" for count in table["n_parameters"]],
            "file, MB": [_megabytes(count) if weights else "" for count, weights in _sizes(table)],
            "ImageNet top-1, %": [published.get(name, "") for name in table["name"]],
            "speed": [measured.get(name, "") for name in table["name"]],
        }
    )
    layers = table[["name", "preprocessing"]].assign(layers=[", ".join(names) for names in table["layers"]])
    _write(app, networks, "backbones.csv")
    _write(app, layers, "backbone_layers.csv")


def write_weights_files(app):
    """Write the table of weights files where the page ``offline`` includes it."""
    from skcnn.backbones import list_backbones, list_weights_files

    table = list_weights_files().merge(list_backbones()[["name", "n_parameters"]], on="name")
    table["file"] = [f"`{file} <{url}>`__" for file, url in zip(table["file"], table["url"], strict=True)]
    table["MB"] = [_megabytes(count) for count in table["n_parameters"]]
    _write(app, table[["name", "file", "MB"]], "weights_files.csv")


def describe_constants(app, what, name, obj, options, lines):
    """Give a constant what stands beside it in its file, and not the docstring of its type."""
    if what == "data" and "\n".join(lines).strip() in ("", inspect.cleandoc(type(obj).__doc__ or "")):
        lines[:] = text_of_constant(name)


def text_of_constant(name):
    """Return the lines that stand beside a constant where its package defines it: a comment, or a text below it."""
    package, _, constant = name.rpartition(".")
    folder = Path(importlib.import_module(package).__file__).parent
    for file in sorted(folder.rglob("*.py")):
        found = ModuleAnalyzer.for_file(file, package).find_attr_docs()
        if ("", constant) in found:
            return found["", constant]
    return []


def leave_out_members_of_other_packages(app, what, name, obj, skip, options):
    """Leave out what a class inherits from scikit-learn or Python: pages show what skcnn's own base classes give."""
    function = inspect.unwrap(getattr(obj, "fget", None) or getattr(obj, "__func__", obj))
    owner = getattr(function, "__module__", None) or getattr(getattr(obj, "__objclass__", None), "__module__", None)
    is_member = inspect.isroutine(obj) or isinstance(obj, property)
    return True if is_member and not str(owner).startswith("skcnn") else None


def _sizes(table):
    return zip(table["n_parameters"], table["weights"], strict=True)


def _megabytes(n_parameters):
    return f"{4 * n_parameters / 1e6:,.0f}"  # float32


def _write(app, table, name):
    folder = Path(app.srcdir, "api", "generated")
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / name, index=False)


def setup(app):
    """Register what the pages need before they are read."""
    app.connect("builder-inited", write_backbones_tables)
    app.connect("builder-inited", write_weights_files)
    app.connect("autodoc-skip-member", leave_out_members_of_other_packages)
    app.connect("autodoc-process-docstring", describe_constants, priority=100)  # before numpydoc
