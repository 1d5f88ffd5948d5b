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


def _imports(file: Path, *, at_import_time: bool) -> set[str]:
    """Penchant modules that a file imports; those under TYPE_CHECKING or inside functions only when asked for."""
    found: set[str] = set()
    tree = ast.parse(file.read_text(encoding="utf-8"))

    def visit(nodes: list[ast.stmt]) -> None:
        for node in nodes:
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                continue
            if isinstance(node, ast.Import):
                found.update(a.name for a in node.names if a.name.startswith("penchant"))
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("penchant"):
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    found.add(inner if inner in MODULES else str(node.module))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and at_import_time:
                continue
            else:
                for field in ("body", "orelse", "finalbody"):
                    visit([n for n in getattr(node, field, []) if isinstance(n, ast.stmt)])

    visit(tree.body)
    return found & set(MODULES)


def _area(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "penchant"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_only_the_foundation_and_itself(stage: str) -> None:
    allowed = {stage, *FOUNDATION}
    wrong = {
        f"{module} -> {target}"
        for module, file in MODULES.items()
        if _area(module) == stage
        for target in _imports(file, at_import_time=False)
        if _area(target) not in allowed
    }
    assert not wrong


def test_the_foundation_imports_no_stage() -> None:
    wrong = {
        f"{module} -> {target}"
        for module, file in MODULES.items()
        if _area(module) in FOUNDATION
        for target in _imports(file, at_import_time=False)
        if _area(target) not in FOUNDATION
    }
    assert not wrong


def test_there_are_no_import_cycles() -> None:
    graph = {m: _imports(f, at_import_time=False) - {m} for m, f in MODULES.items()}
    # A package and its own modules count as one place: `from penchant.io import x` inside io is no cycle of the house.
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


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
