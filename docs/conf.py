"""Sphinx configuration: ``python -m sphinx -W --keep-going -b html docs docs/_build`` builds the pages."""

from pathlib import Path

import skcnn

project = "skcnn"
author = "The skcnn developers"
copyright = "the skcnn developers"
release = version = skcnn.__version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax"]
exclude_patterns = ["_build"]
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

html_theme = "furo"
html_title = f"skcnn {release}"


def write_backbones_table(app):
    """Write the table of backbones where the page ``backbones`` includes it, as the package has it today."""
    from skcnn.backbones import list_backbones

    table = list_backbones()
    for column in table.columns:
        table[column] = [_as_text(value) for value in table[column]]
    folder = Path(app.srcdir, "api", "generated")
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "backbones.csv", index=False)


def write_weights_files(app):
    """Write the table of weights files where the page ``offline`` includes it."""
    from skcnn.backbones import list_backbones, list_weights_files

    table = list_weights_files().merge(list_backbones()[["name", "n_parameters"]], on="name")
    table["file"] = [f"`{file} <{url}>`__" for file, url in zip(table["file"], table["url"], strict=True)]
    table["MB"] = [round(4 * count / 1e6) for count in table["n_parameters"]]  # float32
    folder = Path(app.srcdir, "api", "generated")
    folder.mkdir(parents=True, exist_ok=True)
    table[["name", "file", "MB"]].to_csv(folder / "weights_files.csv", index=False)


def _as_text(value):
    if isinstance(value, (list, tuple)):
        separator = " x " if all(isinstance(item, int) for item in value) else ", "
        return separator.join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else value


def setup(app):
    """Register what the pages need before they are read."""
    app.connect("builder-inited", write_backbones_table)
    app.connect("builder-inited", write_weights_files)
