"""What holds the repository together: dependencies, floors, commands, documents."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import ae_helpers

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "ae_helpers"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
README = (REPOSITORY / "README.md").read_text()
TARGETS = ["lab", "course", "test", "bench", "notebooks", "lock"]


def locked_lines():
    """Return the lines of the lock without their hashes: names, versions, markers."""
    lines = (REPOSITORY / "requirements.lock").read_text().splitlines()
    return [line.removesuffix(" \\") for line in lines if not line.startswith("    --hash=sha256:")]


def test_the_lock_satisfies_every_dependency():
    locked = {}
    for line in locked_lines():
        entry = Requirement(line)
        (version,) = entry.specifier
        assert version.operator == "==", f"{line} is no exact version"
        locked.setdefault(canonicalize_name(entry.name), []).append(version.version)
    for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]:
        wanted = Requirement(line)
        versions = locked.get(canonicalize_name(wanted.name), [])
        assert versions, f"{wanted.name} is not in requirements.lock: run `make lock`"
        for version in versions:
            assert wanted.specifier.contains(version), f"{line}, but the lock has {version}"


def test_every_file_that_may_be_installed_is_known_by_its_hash():
    lines = (REPOSITORY / "requirements.lock").read_text().splitlines()
    for line, next_line in zip(lines, [*lines[1:], ""], strict=True):
        if not line.startswith(" "):
            assert next_line.startswith("    --hash=sha256:"), f"run `make lock`: {line}"


def test_conda_uses_the_same_lock_and_the_same_python():
    listed = yaml.safe_load((REPOSITORY / "environment.yml").read_text())["dependencies"]
    python = next(line for line in listed if str(line).startswith("python"))
    by_pip = next(line["pip"] for line in listed if isinstance(line, dict))
    assert SpecifierSet(python.removeprefix("python")) == SpecifierSet(PROJECT["requires-python"])
    # Without the hashes: beside them pip refuses the `-e .`, which can have none.
    assert by_pip == [*locked_lines(), "-e ."], "the lists differ: run `make lock`"


def test_importing_what_needs_no_tensorflow_does_not_import_it():
    modules = ["", ".data", ".model", ".runs", ".plots", ".numpy_layers", ".widgets.latent_map"]
    modules += [".widgets.drawing_board", ".exercises", ".sweep"]
    code = f"""
import importlib, sys
for name in {modules}:
    importlib.import_module("ae_helpers" + name)
    assert not {{"tensorflow", "keras"}} & set(sys.modules), "ae_helpers" + name
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def imports_of(path):
    """Everything a module imports, anywhere in it: ``data`` for ``ae_helpers.data``."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "ae_helpers":
            homes = ae_helpers._HOME
            names |= {f"ae_helpers.{homes.get(alias.name, alias.name)}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: write the import with ae_helpers in it"
            names.add(node.module)
    own = {name.removeprefix("ae_helpers.") for name in names if name.startswith("ae_helpers.")}
    return own, {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    ("module", "below"),
    [
        ("data", set()),
        ("model", set()),
        ("legend", set()),
        ("plots", {"legend"}),
        ("numpy_layers", set()),
        ("widgets/page", set()),
        ("widgets/drawing_board", set()),
        ("widgets/latent_map", {"legend", "numpy_layers", "widgets.page"}),
        ("training", {"model"}),
        ("runs", {"model"}),
    ],
)
def test_a_module_imports_only_from_the_floors_below(module, below):
    own, _ = imports_of(PACKAGE / f"{module}.py")
    assert own <= below


@pytest.mark.parametrize(
    "module", ["data", "plots", "numpy_layers", "widgets/latent_map", "widgets/page"]
)
def test_a_module_that_works_on_arrays_never_imports_keras(module):
    _, others = imports_of(PACKAGE / f"{module}.py")
    assert not others & {"keras", "tensorflow"}


def test_sweeps_know_notebooks_and_run_folders_but_no_models():
    for path in PACKAGE.glob("sweep/*.py"):
        own, others = imports_of(path)
        assert not own & {"model", "training"}, path.name
        assert not others & {"keras", "tensorflow"}, path.name


@pytest.mark.parametrize("name", ae_helpers.__all__)
def test_every_public_name_can_be_had(name):
    assert callable(getattr(ae_helpers, name))


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_has_its_targets_and_lists_them():
    listed = make()
    for target in TARGETS:
        make("-n", target)
        assert re.search(rf"^make {target} ", listed, re.MULTILINE), f"`make` hides {target}"
    assert set(re.findall(r"^make ([a-z]+) ", listed, re.MULTILINE)) - {"help"} == set(TARGETS)


def make(*arguments):
    done = subprocess.run(["make", *arguments], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


# A letter in brackets keeps a pattern from finding itself. What stands before a path must not be
# part of a longer address, nor of a picture's base64.
NOT_OURS = re.compile(
    r"(?<![\w.+/~-])(/(hom[e]|User[s]|roo[t]|tm[p]|wor[k]|mn[t]|va[r])/|[A-Z]:\\+User[s])"
    r"|pyp[i]\.org|pythonhoste[d]\.org|conda\.anacond[a]\.org|npmj[s]\.(org|com)"
)


def test_no_file_names_a_place_on_somebodys_machine_or_a_package_registry():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True
    )
    if listed.returncode != 0:
        pytest.skip("needs a git checkout")
    for name in listed.stdout.split("\0"):
        path = REPOSITORY / name
        if not path.is_file() or b"\0" in path.read_bytes():  # binary
            continue
        found = NOT_OURS.search(path.read_text())
        assert found is None, f"{name} names {found[0]}"


def test_the_readme_lists_every_notebook():
    rows = re.findall(r"^\| \[.+?\]\((notebooks/.+?\.ipynb)\) \| .+\? \|", README, re.MULTILINE)
    there = [
        f"notebooks/{path.name}" for path in sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
    ]
    assert rows == there


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_links_between_files_lead_somewhere(document):
    text = (REPOSITORY / document).read_text()
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert link.startswith("https://") or (REPOSITORY / link).exists(), link
