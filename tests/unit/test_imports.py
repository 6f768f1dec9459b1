"""The design's import rules, held by parsing every import."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("producer", "consumer", "batch", "shared")
ALLOWED = {"shared": {"shared"}} | {name: {name, "shared"} for name in ("producer", "consumer", "batch")}
FILES = [path.relative_to(ROOT) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
PICKLES = {"pickle", "cPickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}


def imported_modules(tree: ast.Module) -> Iterator[str]:
    """The full name of every module that a file imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def broken_rules(path: Path, source: str) -> list[str]:
    """The import rules that a file of a package breaks, as sentences."""
    package, tree = path.parts[0], ast.parse(source)
    broken = []
    for module in imported_modules(tree):
        top = module.split(".")[0]
        if top in {*PACKAGES, "demo", "tests"} and top not in ALLOWED[package]:
            broken.append(f"{package} imports {module}")
        if top == "kafka" and path.parts[:2] != ("shared", "kafka"):
            broken.append(f"{module} is imported outside shared/kafka")
        if top in PICKLES:
            broken.append(f"{module} can run any code when it loads a file")
        if module in {"os.environ", "os.getenv", "os.environb"} and path != Path("shared/settings.py"):
            broken.append(f"{module} is read outside shared/settings.py")
    if path != Path("shared/settings.py"):
        broken.extend(
            f"line {node.lineno}: os.{node.attr} is read outside shared/settings.py"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and node.attr in {"environ", "getenv", "environb"}
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
        )
    return broken


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_keeps_the_import_rules(path: Path) -> None:
    assert broken_rules(path, (ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("shared/x.py", "import producer.publish"),
        ("shared/x.py", "def f():\n    from batch import score"),
        ("producer/x.py", "from consumer import loop"),
        ("batch/x.py", "from demo import table"),
        ("consumer/x.py", "from kafka import KafkaConsumer"),
        ("shared/x.py", "import kafka.errors as errors"),
        ("shared/kafka/x.py", "import pickle"),
        ("shared/x.py", "from joblib import load"),
        ("batch/x.py", "import os\nos.environ['A']"),
        ("batch/x.py", "import os\nprint(os.getenv('A'))"),
        ("batch/x.py", "from os import environ"),
    ],
)
def test_each_rule_catches_what_it_is_for(path: str, source: str) -> None:
    assert len(broken_rules(Path(path), source)) == 1


def test_relative_imports_are_refused() -> None:
    with pytest.raises(AssertionError, match="relative"):
        broken_rules(Path("shared/x.py"), "from . import predict")


@pytest.mark.parametrize("module", ["batch.score", "batch.__main__", "shared.predict"])
def test_scoring_files_never_waits_for_the_kafka_client_to_load(module: str) -> None:
    code = f"import sys, {module}; sys.exit('kafka' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
