"""The house rules that a machine can hold: import direction, no cycles, a light `import penchant`, public names."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import penchant

SOURCE = Path(penchant.__file__).parent
STAGES = ("io", "encode", "represent", "interests", "segments", "recommend", "evaluate")
FOUNDATION = ("errors", "config", "data", "protocols", "artefacts", "text", "scorers", "progress", "threads")
HEAVY = ("torch", "sklearn", "pyspark", "fastapi", "transformers", "lightgbm", "implicit", "plotly", "polars", "scipy")


def _module_name(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module_name(f): f for f in sorted(SOURCE.rglob("*.py"))}


def _imports(module: str, code: str) -> set[str]:
    """Penchant modules that a module imports, wherever in its code, with the packages that are loaded on the way.

    Not counted: what only a type checker reads, and the module's own packages, which are there before it.
    """
    tree = ast.parse(code)
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    named: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: a relative import; name the module in full"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                named.add(inner if inner in MODULES else str(node.module))
    found = {".".join(name.split(".")[: n + 1]) for name in named for n in range(1, name.count(".") + 1)}
    own = {".".join(module.split(".")[: n + 1]) for n in range(module.count(".") + 1)}
    return {name for name in found & set(MODULES) if name in named or name not in own} - {module}


def _graph() -> dict[str, set[str]]:
    return {module: _imports(module, file.read_text(encoding="utf-8")) for module, file in MODULES.items()}


def _area(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "penchant"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_only_the_foundation_and_itself(stage: str) -> None:
    allowed = {stage, *FOUNDATION}
    wrong = {
        f"{module} -> {target}"
        for module, targets in _graph().items()
        if _area(module) == stage
        for target in targets
        if _area(target) not in allowed
    }
    assert not wrong


def test_the_foundation_imports_no_stage() -> None:
    wrong = {
        f"{module} -> {target}"
        for module, targets in _graph().items()
        if _area(module) in FOUNDATION
        for target in targets
        if _area(target) not in FOUNDATION
    }
    assert not wrong


def _cycle(graph: dict[str, set[str]]) -> str:
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return " -> ".join(error.args[1])
    return ""


def test_there_are_no_import_cycles() -> None:
    assert not _cycle(_graph())


@pytest.mark.parametrize(
    "code",
    [
        "from penchant.io import read_log",
        "import penchant.io.read",
        "def f():\n    from penchant.io import read",
        "try:\n    import x\nexcept ImportError:\n    import penchant.io.read",
        "if TYPE_CHECKING:\n    import x\nelse:\n    import penchant.io.read",
    ],
)
def test_a_cycle_is_found_wherever_the_import_stands(code: str) -> None:
    graph = _graph()
    assert "penchant.errors" in graph["penchant.io.read"] | graph["penchant.io"]
    assert _cycle(graph | {"penchant.errors": _imports("penchant.errors", code)})
    unseen = "if TYPE_CHECKING:\n    import penchant.io.read"
    assert not _cycle(graph | {"penchant.errors": _imports("penchant.errors", unseen)})


def test_importing_penchant_loads_nothing_heavy() -> None:
    code = f"import sys, penchant; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert loaded == "[]"


def test_no_public_name_is_hidden_by_a_module_of_the_same_name() -> None:
    assert not set(penchant.__all__) & {f.stem for f in SOURCE.iterdir()}


def test_public_names_are_sorted_and_exist() -> None:
    assert list(penchant.__all__) == sorted(penchant.__all__)
    assert all(getattr(penchant, name) is not None for name in penchant.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = penchant.no_such_name


@pytest.mark.parametrize("module", sorted(MODULES))
def test_files_stay_small_enough_to_read(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 400


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert not {m for m in MODULES if m.split(".")[-1] in ("utils", "helpers", "manager", "common", "misc")}


def test_no_pickle_and_no_evaluation_of_data() -> None:
    forbidden = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}
    wrong = set()
    for module, file in MODULES.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import) and forbidden & {a.name.split(".")[0] for a in node.names}:
                wrong.add(f"{module}:{node.lineno}")
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in forbidden:
                wrong.add(f"{module}:{node.lineno}")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
                wrong.add(f"{module}:{node.lineno}")
    assert not wrong
