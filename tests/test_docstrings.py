"""Docstrings of public names speak one dialect, and signatures have types."""

import ast
import importlib
import inspect
import pkgutil
import re

import pytest
from numpydoc.docscrape import NumpyDocString

import skcnn

#: Parameters annotated Any, and functions that return Any, because no narrower type exists.
ANY_NAMES = {
    "X": "array-like of images, paths, bytes or a column of any kind of frame",
    "y": "labels of any type",
    "image": "an image in any form, which as_images takes",
    "y_true": "boxes of any form",
    "y_pred": "boxes of any form",
    "pos_label": "a label of any type",
    "target": "a label of any type",
    "reference": "images of any form, or vectors",
    "estimator": "an estimator of any package, by its methods",
    "transformer": "an estimator of any package, by its methods",
    "classifier": "an estimator of any package, by its methods",
    "skcnn.load": "the estimator that is in the file, of any class",
    "skcnn.persistence.load": "the estimator that is in the file, of any class",
    "skcnn.datasets": "a Bunch, or a tuple where return_X_y=True; a union would fit neither use",
}


def public_names():
    """Return every function, and every class with its methods, of the ``__all__`` of each public module."""
    modules = [skcnn] + [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(skcnn.__path__, "skcnn.")
        if not any(part.startswith("_") for part in found.name.split(".")) and found.name != "skcnn.cli"
    ]
    names = {}
    for module in modules:
        for name in getattr(module, "__all__", ()):
            item = getattr(module, name)
            if not (inspect.isclass(item) or inspect.isfunction(item)) or not item.__module__.startswith("skcnn"):
                continue
            names[f"{module.__name__}.{name}"] = item
            if inspect.isclass(item):
                for method, value in inspect.getmembers(item):
                    inner = inspect.unwrap(getattr(value, "__func__", value))
                    is_own = inspect.isfunction(inner) and inner.__module__.startswith("skcnn")
                    if is_own and (method == "__init__" or not method.startswith("_")):
                        names[f"{module.__name__}.{name}.{method}"] = inner
    return names


NAMES = public_names()


def faults(docstring):
    """Return what a docstring has that is not the dialect."""
    if not docstring:
        return []
    text = inspect.cleandoc(docstring)
    found = [
        f"{line.strip()!r}: write 'type or None, default=None'"
        for line in re.findall(r"(?m)^\S.* : .*default=None$", text)
        if "or None, default=None" not in line
    ]
    found += [f"{line.strip()!r}: None goes last" for line in re.findall(r"(?m)^\S.* : None or .*$", text)]
    # NumpyDocString warns of sections that it does not know, and of them alone.
    doc = NumpyDocString(text)
    raised = [name.strip() for entry in doc["Raises"] for name in (entry.type or entry.name).split(",")]
    found += [f"{name} is raised twice" for name in sorted({n for n in raised if raised.count(n) > 1})]
    found += [
        f"{entry.type or entry.name}: one entry per exception" for entry in doc["Raises"] if "," in (entry.type or "")
    ]
    for section in ("Parameters", "Returns", "Attributes", "Raises"):
        for entry in doc[section]:
            if re.match(r"As (in\b|:|`)", " ".join(entry.desc)):
                found.append(f"{entry.name or entry.type}: describe it in a line of its own, then refer")
    without_code = re.sub(r"``.*?``", "", text, flags=re.DOTALL)
    found += [
        f"`{inside}`: double backticks for code, a role for a reference"
        for inside in re.findall(r"(?<![`:\w])`([^`<>]+)`(?!_)", without_code)
    ]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_docstring(name):
    assert not (found := faults(NAMES[name].__doc__)), "\n".join(found)


def is_bare_any(annotation):
    """Return whether an annotation says nothing: Any, or a union that holds it."""
    if isinstance(annotation, ast.BinOp):
        return is_bare_any(annotation.left) or is_bare_any(annotation.right)
    return ast.unparse(annotation) in ("Any", "typing.Any")


def bare_any(name, annotations):
    """Return the parameters of a function that have no type, and "return" if that has none."""
    # Annotations are text: every module of the package imports them from __future__.
    found = [argument for argument, text in annotations.items() if is_bare_any(ast.parse(text, mode="eval").body)]
    return [
        argument
        for argument in found
        if argument not in ANY_NAMES
        and not (argument == "return" and (name in ANY_NAMES or name.rpartition(".")[0] in ANY_NAMES))
    ]


@pytest.mark.parametrize("name", [name for name, item in NAMES.items() if inspect.isfunction(item)])
def test_no_bare_any_in_signatures(name):
    annotations = {argument: text or "None" for argument, text in NAMES[name].__annotations__.items()}
    assert not (bare := bare_any(name, annotations)), f"{name}: give a type for {bare}"


def test_bare_any_is_found():
    annotations = {"a": "Any", "b": "str | Any | None", "c": "dict[str, Any]", "X": "Any", "return": "typing.Any"}
    assert bare_any("skcnn.save", annotations) == ["a", "b", "return"]
    assert bare_any("skcnn.load", annotations) == ["a", "b"]


def test_reasons_for_any_are_used():
    used = {argument for item in NAMES.values() if inspect.isfunction(item) for argument in item.__annotations__}
    modules = {name.rpartition(".")[0] for name in NAMES}
    assert not set(ANY_NAMES) - used - set(NAMES) - modules


@pytest.mark.parametrize(
    ("docstring", "fault"),
    [
        ("Do it.\n\nParameters\n----------\nx : int, default=None\n    A number.", "or None"),
        ("Do it.\n\nParameters\n----------\nx : None or int, default=None\n    A number.", "None goes last"),
        ("Do it.\n\nParameters\n----------\nx : int\n    As in `fit`.", "describe it"),
        ("Do it.\n\nRaises\n------\nValueError\n    If so.\nValueError\n    If not.", "twice"),
        ("Do it.\n\nRaises\n------\nValueError, TypeError\n    If so.", "one entry per exception"),
        ("Do what `fit` does.", "double backticks"),
    ],
)
def test_every_rule_can_fail(docstring, fault):
    assert any(fault in found for found in faults(docstring))


def test_a_good_docstring_passes():
    good = "Do it.\n\nParameters\n----------\nx : int or None, default=None\n    A number, see :func:`f` and ``g``."
    assert not faults(good)
