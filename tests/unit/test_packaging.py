"""The wheel holds what it must and nothing else, and everything that names a version agrees."""

import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"producer", "consumer", "batch", "shared"}
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([sys.executable, *command, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


def test_the_wheel_holds_every_module_of_the_packages(wheel: zipfile.ZipFile) -> None:
    modules = {
        path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")
    }
    assert modules == {name for name in wheel.namelist() if name.endswith(".py")}


def test_the_wheel_holds_what_a_report_is_made_of(wheel: zipfile.ZipFile) -> None:
    parts = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for pattern in ("*.css", "templates/*.jinja")
        for path in (ROOT / "batch" / "report").glob(pattern)
    }
    assert {"batch/report/style.css", "batch/report/templates/report.html.jinja"} <= set(parts)
    assert {name: wheel.read(name) for name in parts} == parts


def test_the_wheel_holds_the_live_page(wheel: zipfile.ZipFile) -> None:
    files = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in (ROOT / "consumer" / "web" / "static").iterdir()
    }
    assert {"consumer/web/static/index.html", "consumer/web/static/page.js"} <= set(files)
    assert {name: wheel.read(name) for name in files} == files


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_each_package_says_that_it_is_typed(wheel: zipfile.ZipFile, package: str) -> None:
    assert f"{package}/py.typed" in wheel.namelist()


def test_the_wheel_holds_the_shipped_models_to_the_byte(wheel: zipfile.ZipFile) -> None:
    models = {
        f"shared/shipped/{path.relative_to(ROOT / 'models').as_posix()}": path.read_bytes()
        for path in (ROOT / "models").glob("*/*")
        if (path.parent / "model.json").is_file()
    }
    shipped = {name for name in wheel.namelist() if name.startswith("shared/shipped/")}
    assert {name: wheel.read(name) for name in shipped} == models
    assert "shared/shipped/churn/model.json" in models


def test_the_wheel_carries_the_licence(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("licenses/LICENSE"))
    assert wheel.read(name) == (ROOT / "LICENSE").read_bytes()
    assert b"Apache License" in wheel.read(name)


def test_the_wheel_says_what_the_project_says(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("METADATA"))
    metadata = HeaderParser().parsestr(wheel.read(name).decode())
    assert metadata["Version"] == PROJECT["project"]["version"]
    assert metadata["Name"] == PROJECT["project"]["name"]
    assert metadata["License-Expression"] == "Apache-2.0"


def test_the_installed_version_is_the_projects() -> None:
    assert version(PROJECT["project"]["name"]) == PROJECT["project"]["version"]


def test_the_locked_build_tools_are_those_that_the_build_asks_for() -> None:
    assert set(PROJECT["build-system"]["requires"]) <= set(PROJECT["dependency-groups"]["build"])


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    packages = re.findall(r"^\S+==.*?(?=^\S|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    assert packages
    assert all("--hash=sha256:" in package for package in packages)
    assert "://" not in text
    assert not re.search(r"^\s*(--index-url|--extra-index-url|--find-links|-e|/)", text, flags=re.MULTILINE)


def test_the_image_and_the_developers_have_the_same_versions() -> None:
    pin = re.compile(r"^([^\s#]+==[^\s\\]+)", flags=re.MULTILINE)
    developers = set(pin.findall((ROOT / "requirements-dev.lock").read_text(encoding="utf-8")))
    for lock in ("requirements.lock", "requirements-build.lock"):
        assert set(pin.findall((ROOT / lock).read_text(encoding="utf-8"))) <= developers
