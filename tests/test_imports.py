"""The package's own rules about who imports whom, read from the source."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import skcnn

PACKAGE = Path(skcnn.__file__).parent

#: What each module may import from skcnn; imports inside functions count.
MAY_IMPORT = {
    "_archives": set(),
    "_files": set(),
    "_stores": set(),
    "_timing": set(),
    "devices": set(),
    "profiling": {"_text", "_timing"},
    "_keras": {"_files", "_timing"},
    "_wiring": {"_keras"},
    "_network_files": {"_archives", "_files", "_keras"},
    "_members": set(),
    "_text": set(),
    "_progress": set(),
    "_labels": {"_text"},
    "_page": {"_files", "_text"},
    "_plot": {"_text"},
    "_hub": set(),
    "_image_input": {"_keras", "images"},
    "images": {"_stores", "_timing", "_progress", "_text"},
    "boxes": {"_labels", "_text", "images"},
    "datasets": {"_files", "_stores", "_labels", "_text", "boxes", "images"},
    "metrics": {"_labels", "_text", "_plot", "boxes", "images"},
    "report": {"_files", "_text", "_page", "_plot", "boxes", "images", "metrics"},
    "tracking": {"_files", "boxes", "images", "metrics"},
    "distributed": {"_files", "_stores", "_labels", "_progress", "images"},
    "model_selection": {"_labels", "_progress", "_text", "images"},
    "ensemble": {"_timing", "_labels", "images"},
    "backbones": {"_archives", "_files", "_keras", "_network_files", "_text", "_wiring", "images"},
    "cache": {"_files", "_keras", "images"},
    "engines": {"_files", "_keras", "images", "backbones", "cache"},
    "feature_extraction": {
        "_timing",
        "_files",
        "_keras",
        "_network_files",
        "_progress",
        "_image_input",
        "images",
        "backbones",
        "cache",
        "engines",
    },
    "_training": {
        "_timing",
        "devices",
        "_files",
        "_keras",
        "_network_files",
        "_progress",
        "_text",
        "_wiring",
        "_image_input",
        "images",
        "backbones",
        "cache",
        "feature_extraction",
    },
    "neural_network": {
        "_keras",
        "_network_files",
        "_labels",
        "_text",
        "_training",
        "_image_input",
        "images",
        "backbones",
        "cache",
        "engines",
        "feature_extraction",
    },
    "detection": {
        "_hub",
        "_keras",
        "_text",
        "_training",
        "_image_input",
        "backbones",
        "boxes",
        "cache",
        "feature_extraction",
        "images",
        "metrics",
    },
    "metric_learning": {
        "_files",
        "_keras",
        "_labels",
        "_text",
        "_training",
        "_image_input",
        "images",
        "backbones",
        "boxes",
        "cache",
        "feature_extraction",
        "metrics",
    },
    "segmentation": {
        "_hub",
        "_keras",
        "_text",
        "_training",
        "_image_input",
        "backbones",
        "boxes",
        "cache",
        "feature_extraction",
        "images",
        "metrics",
    },
    "decomposition": {"_keras", "_training", "_image_input", "_plot", "images"},
    "generative": {
        "_keras",
        "_timing",
        "_labels",
        "_network_files",
        "_plot",
        "_progress",
        "_text",
        "_training",
        "_wiring",
        "_image_input",
        "backbones",
        "feature_extraction",
        "images",
        "metrics",
    },
    "inspection": {
        "_keras",
        "_labels",
        "_text",
        "_page",
        "_plot",
        "images",
        "metrics",
        "backbones",
        "feature_extraction",
        "metric_learning",
        "neural_network",
        "segmentation",
    },
    "utils": {"_keras", "images", "backbones", "cache", "engines", "feature_extraction", "neural_network"},
    "exporting": {
        "",
        "_files",
        "_keras",
        "backbones",
        "engines",
        "ensemble",
        "feature_extraction",
        "generative",
        "neural_network",
        "programs",
    },
    "programs": {"engines", "images"},
    "persistence": {"", "exporting", "metrics", "programs", "_archives", "_files", "_members", "images"},
}
MAY_IMPORT["serving"] = {"", "_page", "exporting", "images", "inspection", "persistence", "programs"}
MAY_IMPORT["cli"] = {"", *MAY_IMPORT, "persistence"}
MAY_IMPORT["__main__"] = {"cli"}
MAY_IMPORT["__init__"] = set()  # it loads its modules by name, when they are asked for

HEAVY_AT_TOP = {"keras", "tensorflow", "jax", "torch", "scikeras", "matplotlib", "openvino", "onnx", "onnxruntime"}
MAY_NAME_KERAS = {"_keras", "backbones", "engines", "_training", "neural_network"}
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def for_types_only(tree: ast.AST) -> set[ast.AST]:
    """Return the nodes that no run sees: those under ``if TYPE_CHECKING``."""
    hidden = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {inner for block in hidden for node in block.body for inner in ast.walk(node)}


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    module, tree = module_of(path), ast.parse(path.read_text())
    hidden = for_types_only(tree)
    for node in ast.walk(tree):
        for name in imported(node):
            parts = name.split(".")
            if parts[0] == "skcnn":
                target = parts[1] if (PACKAGE / parts[1]).is_dir() or (PACKAGE / f"{parts[1]}.py").exists() else ""
                assert target in MAY_IMPORT[module] | {module}, f"{path.name} imports {name}"
            if parts[0] in ("keras", "tensorflow", "scikeras") and node not in hidden:
                assert module in MAY_NAME_KERAS, f"{path.name} imports {name}"


def name_of(path: Path) -> str:
    """Return the dotted name of a module."""
    parts = ("skcnn", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {name_of(path): ast.parse(path.read_text()) for path in FILES}


def targets_of(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield every import from skcnn as (module, name in it), whichever block it is in; the name is "" for modules."""
    for node in ast.walk(tree):
        for name in imported(node):
            module, _, last = name.rpartition(".")
            if name in TREES:
                yield name, ""
            elif module in TREES:
                yield module, last


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that reach each other."""

    def reached_from(module: str) -> set[str]:
        reached, waiting = set(), [module]
        while waiting:
            for target in graph.get(waiting.pop(), set()) - reached:
                reached.add(target)
                waiting.append(target)
        return reached

    reached = {module: reached_from(module) for module in graph}
    groups = {
        tuple(sorted(other for other in reached[module] if module in reached.get(other, ())))
        for module in graph
        if module in reached[module]
    }
    return [list(group) for group in sorted(groups)]


def test_no_circles_between_files():
    graph = {name: {module for module, _ in targets_of(tree)} for name, tree in TREES.items()}
    assert circles(graph) == []


def test_circles_are_found():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"d"}, "e": {"a"}}
    assert circles(graph) == [["b", "c"], ["d"]]


def part_of(module: str) -> str:
    """Return the package, or the module at the top, that a module belongs to."""
    return ".".join(module.split(".")[:2])


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


@pytest.mark.parametrize("module", TREES)
def test_private_names_are_not_imported_across_packages(module):
    for target, name in targets_of(TREES[module]):
        if part_of(target) == part_of(module):
            continue
        # `skcnn._text` and its like are there for all that the map allows; what is private within them is not.
        private = [part for part in [*target.split(".")[2:], name] if is_private(part)]
        assert not private, f"{module} imports {name or 'all'} of {target}"


#: Attributes of other people's objects: of namedtuples, where the underscore means nothing; and where there is no other
#: way in Keras and scikit-learn.
FOREIGN = {"_asdict", "_fields", "_replace", "_inbound_nodes", "_keras_history", "_score_func"}


def private_names_made_by(tree: ast.AST) -> set[str]:
    """Return the private functions, classes, attributes and variables that a file defines."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.attr if isinstance(node, ast.Attribute) else node.id)
    return {name for name in names if is_private(name)}


MADE = {name: private_names_made_by(tree) for name, tree in TREES.items()}


@pytest.mark.parametrize("module", TREES)
def test_private_attributes_are_not_used_across_packages(module):
    own = {name for other, tree in TREES.items() if part_of(other) == part_of(module) for name in MADE[other]}
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            allowed = node.attr in own | FOREIGN
            assert allowed or is_of_self(node), f"{module}, line {node.lineno}: .{node.attr} is another package's"


def is_of_self(node: ast.Attribute) -> bool:
    """Tell whether an attribute is that of the object itself, which may have it from a base class."""
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_heavy_at_module_level(path):
    for node in ast.parse(path.read_text()).body:
        for name in imported(node):
            assert name.split(".")[0] not in HEAVY_AT_TOP, f"{path.name} imports {name} when it is imported"


def test_the_rule_knows_every_module():
    assert {module_of(path) for path in FILES} == set(MAY_IMPORT)


def loaded_by(statement: str) -> set[str]:
    code = f"import json, sys; {statement}; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_import_skcnn_is_light():
    beyond = loaded_by("import sklearn, skcnn") - loaded_by("import sklearn")
    assert beyond == {"skcnn"}


def test_no_module_loads_keras_or_matplotlib():
    modules = [module for module in skcnn._MODULES if module != "utils"]
    assert not loaded_by("import " + ", ".join(f"skcnn.{module}" for module in modules)) & HEAVY_AT_TOP


def test_public_names():
    assert callable(skcnn.save)
    assert callable(skcnn.load)
    for name in skcnn.__all__:
        assert hasattr(skcnn, name)
        assert name in dir(skcnn)
    with pytest.raises(AttributeError, match="no_such_name"):
        skcnn.no_such_name  # noqa: B018
