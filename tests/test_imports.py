"""The package's own rules about who imports whom, read from the source."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import skcnn

PACKAGE = Path(skcnn.__file__).parent

#: What each module may import from skcnn; imports inside functions count.
MAY_IMPORT = {
    "_files": set(),
    "_keras": set(),
    "_members": set(),
    "_text": set(),
    "_image_input": {"images"},
    "images": {"_text"},
    "datasets": {"_text", "images"},
    "metrics": {"_files", "_text", "images"},
    "model_selection": {"_text", "images"},
    "ensemble": {"images"},
    "backbones": {"_keras", "images"},
    "cache": {"_keras", "images"},
    "engines": {"_files", "_keras", "images", "backbones", "cache"},
    "feature_extraction": {
        "_files",
        "_keras",
        "_image_input",
        "images",
        "backbones",
        "cache",
        "engines",
    },
    "neural_network": {
        "_files",
        "_keras",
        "_text",
        "_image_input",
        "images",
        "backbones",
        "feature_extraction",
    },
    "inspection": {"_keras", "_text", "images", "backbones", "feature_extraction", "neural_network", "metrics"},
    "utils": {"_keras", "images", "backbones", "cache", "engines", "feature_extraction", "neural_network"},
    "persistence": {"", "_files", "_keras", "_members", "images", "backbones", "feature_extraction", "neural_network"},
}
MAY_IMPORT["cli"] = {"", *MAY_IMPORT, "persistence"}
MAY_IMPORT["__main__"] = {"cli"}
MAY_IMPORT["__init__"] = set()  # it loads its modules by name, when they are asked for

HEAVY_AT_TOP = {"keras", "tensorflow", "jax", "torch", "scikeras", "matplotlib", "openvino"}
MAY_NAME_KERAS = {"_keras", "backbones", "engines", "neural_network"}
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    module = module_of(path)
    for node in ast.walk(ast.parse(path.read_text())):
        for name in imported(node):
            parts = name.split(".")
            if parts[0] == "skcnn":
                target = parts[1] if (PACKAGE / parts[1]).is_dir() or (PACKAGE / f"{parts[1]}.py").exists() else ""
                assert target in MAY_IMPORT[module] | {module}, f"{path.name} imports {name}"
            if parts[0] in ("keras", "tensorflow", "scikeras"):
                assert module in MAY_NAME_KERAS, f"{path.name} imports {name}"


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
