"""What holds the repository together: dependencies, floors, commands, documents."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import set_owner
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import ae_helpers
from ae_helpers import data
from ae_helpers.numpy_layers import ACTIVATIONS
from ae_helpers.parameters import HIDDEN_ACTIVATIONS, LATENT_ACTIVATIONS

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "ae_helpers"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
as_python = TransformerManager().transform_cell  # a notebook's cell may hold a line like %pip
README = (REPOSITORY / "README.md").read_text()
TARGETS = [
    "lab",
    "course",
    "test",
    "test-notebooks",
    "bench",
    "notebooks",
    "site",
    "handout",
    "lock",
]


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
    extras = PROJECT["optional-dependencies"]
    for line in [*PROJECT["dependencies"], *extras["test"], *extras["site"]]:
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


DISTRIBUTIONS = packages_distributions()


def distributions_imported_by(folder):
    """The packages that a folder's modules and notebooks import, by the names pip has for them."""
    codes = [path.read_text() for path in folder.rglob("*.py")]
    for path in folder.rglob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        codes += [as_python("".join(c["source"])) for c in cells if c["cell_type"] == "code"]
    imported = set()
    for node in (node for code in codes for node in ast.walk(ast.parse(code))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported.add(node.module.split(".")[0])
    found = {canonicalize_name(name) for n in imported for name in DISTRIBUTIONS.get(n, [])}
    return found - {"ae-helpers", "umap-learn", "opentsne", "jax", "optax"}  # the rest if there


def declared(lines):
    return {canonicalize_name(Requirement(line).name) for line in lines}


@pytest.mark.parametrize("folder", ["ae_helpers", "tools", "notebooks", "benchmarks", "tests"])
def test_every_package_that_is_imported_is_declared(folder):
    lines = PROJECT["dependencies"]
    extras = {"tools": ["site"], "benchmarks": ["test"], "tests": ["test", "site"]}
    for extra in extras.get(folder, []):
        lines = lines + PROJECT["optional-dependencies"][extra]
    assert distributions_imported_by(REPOSITORY / folder) <= declared(lines)


def test_every_package_that_is_declared_is_imported():
    used = {"jupyterlab", "jsonschema"}  # it is opened, not imported; it is held below a version
    for folder in ("ae_helpers", "tools", "notebooks"):
        used |= distributions_imported_by(REPOSITORY / folder)
    site = declared(PROJECT["optional-dependencies"]["site"])
    assert site <= used
    assert declared(PROJECT["dependencies"]) == used - site


def test_every_folder_of_the_package_is_installed():
    setuptools = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {path.parent.relative_to(REPOSITORY) for path in PACKAGE.rglob("*.py")}
    assert set(setuptools["packages"]) == {".".join(folder.parts) for folder in folders}


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


PARTS_OF_A_WIDGET = {"widgets.page", "widgets.film", "widgets.ruler"}


@pytest.mark.parametrize(
    ("module", "below"),
    [
        ("stages", set()),
        ("data", {"images", "stages"}),
        ("images", {"legend", "parameters"}),
        ("parameters", set()),
        ("model", {"parameters", "stages"}),
        ("legend", set()),
        ("plots", {"legend"}),
        ("numpy_layers", {"parameters"}),
        ("widgets/page", set()),
        ("widgets/drawing_board", {"images"}),
        ("widgets/ruler", set()),
        ("widgets/film", {"numpy_layers"}),
        ("widgets/latent_map", {"legend", "numpy_layers", *PARTS_OF_A_WIDGET}),
        ("widgets/playground", {"data", "legend", "widgets.page", "widgets.ruler"}),
        ("widgets/live_plane", {"model", "widgets.film", "widgets.latent_map", "widgets.ruler"}),
        ("widgets/beat_the_encoder", {"legend", "numpy_layers", "widgets.film", "widgets.page"}),
        ("training", {"model", "parameters", "stages"}),
        ("runs", {"model", "numpy_layers", "parameters", "stages"}),
    ],
)
def test_a_module_imports_only_from_the_floors_below(module, below):
    own, _ = imports_of(PACKAGE / f"{module}.py")
    assert own <= below


@pytest.mark.parametrize(
    "module",
    ["data", "plots", "numpy_layers", "widgets/latent_map", "widgets/page", "widgets/playground"],
)
def test_a_module_that_works_on_arrays_never_imports_keras(module):
    _, others = imports_of(PACKAGE / f"{module}.py")
    assert not others & {"keras", "tensorflow"}


def test_sweeps_know_notebooks_and_run_folders_but_no_models():
    for path in PACKAGE.glob("sweep/*.py"):
        own, others = imports_of(path)
        assert not own & {"model", "training"}, path.name
        assert not others & {"keras", "tensorflow"}, path.name


def test_every_activation_that_can_be_built_can_run_outside_keras():
    # Two rooms on one floor, so neither can take its list from the other.
    assert set(ACTIVATIONS) == {*LATENT_ACTIVATIONS, *HIDDEN_ACTIVATIONS}


@pytest.mark.parametrize("name", ae_helpers.__all__)
def test_every_public_name_can_be_had(name):
    assert callable(getattr(ae_helpers, name))


@pytest.mark.parametrize(
    "path", sorted(REPOSITORY.glob(".github/workflows/*.yml")), ids=lambda path: path.stem
)
def test_a_workflow_runs_what_it_names_and_gives_no_more_than_it_must(path):
    text = path.read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert text.count("uses: ") == len(re.findall(r"uses: \S+@[0-9a-f]{40}  # v\d", text))
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            if "actions/checkout@" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False
        if "write" in job.get("permissions", {}).values():
            # The one action that has to: it publishes what another job has built.
            own = [step for step in job["steps"] if "actions/deploy-pages@" not in str(step)]
            assert all("uses" not in step for step in own)
            assert not re.search("pip|make|python", str([step["run"] for step in own]))
    if data.KERAS_URL in text:
        assert workflow["env"]["MNIST_SHA256"] == data.KERAS_FILE_SHA256
        assert 'echo "$MNIST_SHA256 ' in text


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def make(*arguments, folder=REPOSITORY, more_rules="", **environment):
    # Without what `make test` itself was given.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "-f", "Makefile", "-f", "-", *arguments],
        cwd=folder,
        env=kept | environment,
        input=more_rules,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


@needs_make
def test_make_has_its_targets_and_lists_them():
    _, listed = make()
    for target in TARGETS:
        assert make("-n", target, "PYTHON=python3")[0] == 0
        assert re.search(rf"^make {target} ", listed, re.MULTILINE), f"`make` hides {target}"
    assert set(re.findall(r"^make ([a-z-]+) ", listed, re.MULTILINE)) - {"help"} == set(TARGETS)


@needs_make
@pytest.mark.parametrize("name", ["AE_MNIST", "AE_RUNS_DIR"])
@pytest.mark.parametrize("path", ["/data/mnist.npz", "mnist.npz", "my data/mnist.npz", "/a b/$c"])
def test_make_leads_to_a_named_path_from_every_folder(name, path):
    show = f"show: ; @printenv {name}"
    ways = [make("-s", "show", f"{name}={path}", more_rules=show)]
    ways += [make("-s", "show", more_rules=show, **{name: path})]
    assert ways == [(0, f"{REPOSITORY / path}\n")] * 2


@pytest.fixture
def fresh_clone(tmp_path):
    """What `make` needs to set up, and two stand-ins for Python: ``fit`` and ``unfit``."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    makes_venv = 'if [ "$2" = venv ]; then mkdir -p .venv/bin; cp fit .venv/bin/python; fi'
    for name, does in (("fit", makes_venv), ("unfit", "exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} $* >> log\n{does}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


@needs_make
@pytest.mark.parametrize("python", ["./unfit", "./none", ""])
def test_make_refuses_an_unfit_python_before_it_makes_anything(fresh_clone, python):
    code, printed = make(".venv/.ready", f"PYTHON={python}", folder=fresh_clone)
    assert code != 0
    said, failed = printed.splitlines()
    assert said.startswith(f"{python or 'python3'} is no Python from 3.11 to 3.13: install one")
    assert failed.startswith("make: ***")
    assert not (fresh_clone / ".venv").exists()


@needs_make
def test_make_makes_the_environment_of_an_unfit_python_anew(fresh_clone):
    (fresh_clone / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(fresh_clone / "unfit", fresh_clone / ".venv" / "bin" / "python")
    code, printed = make(".venv/.ready", "PYTHON=./fit", folder=fresh_clone)
    assert code == 0, printed
    assert "-m venv --clear .venv" in (fresh_clone / "log").read_text()
    before = (fresh_clone / "log").read_text().count("-m venv")
    (fresh_clone / "requirements.lock").touch()
    make(".venv/.ready", "PYTHON=./fit", folder=fresh_clone)
    assert (fresh_clone / "log").read_text().count("-m venv") == before, "a fit one stays"


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


def test_every_address_of_the_course_names_the_one_owner():
    files = set_owner.course_files()
    if not files:
        pytest.skip("needs a git checkout")
    found = {}
    for path in files:
        for address in set_owner.ADDRESS.finditer(path.read_text()):
            found.setdefault(address["owner"], set()).add(path.name)
    assert set(found) <= {set_owner.owner()}, "run tools/set_owner.py"
    assert {"README.md", "01_data.ipynb", "pyproject.toml"} <= set().union(*found.values())


def test_the_readme_lists_every_notebook():
    rows = re.findall(r"^\| \[.+?\]\((notebooks/.+?\.ipynb)\) \| .+\? \|", README, re.MULTILINE)
    there = [
        f"notebooks/{path.name}" for path in sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
    ]
    assert rows == there


def test_teachers_are_told_the_minutes_to_read_that_the_readme_tells():
    teaching = (REPOSITORY / "docs" / "teaching.md").read_text()
    told = re.findall(
        r"^### (\d\d .+)$(?:\n(?!#).*)+?\n- \*Time:\* (\d+) min", teaching, re.MULTILINE
    )
    row = r"^\| \[(\d\d .+?)\]\(notebooks/.+?\) \| .+? \| (\d+) min \|"
    assert told == re.findall(row, README, re.MULTILINE)
    assert len(told) > 10


def test_the_readme_tells_the_minutes_to_read_that_the_notebooks_tell():
    words = ["six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen"]
    words += ["fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "twenty-one"]
    words += ["twenty-two"]
    for name, minutes in re.findall(r"\]\((notebooks/.+?)\) \| .+? \| (\d+) min \|", README):
        title = "".join(json.loads((REPOSITORY / name).read_text())["cells"][0]["source"]).lower()
        assert words[int(minutes) - 6] == re.search(r"([\w-]+) minutes to read", title)[1], name


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/teaching.md"])
def test_links_between_files_lead_somewhere(document):
    text = (REPOSITORY / document).read_text()
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert link.startswith("https://") or (REPOSITORY / link).exists(), link


def test_the_readme_names_the_size_of_the_package():
    lines = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text().splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    (named,) = re.findall(r"package of ([\d,]+) lines", README)
    assert abs(int(named.replace(",", "")) - sum(lines.values())) <= 50, sum(lines.values())
    for files, count in re.findall(
        r"^\| ((?:`[\w./]+`(?:, )?)+) \| .* \| ([\d,]+) \|$", README, re.M
    ):
        rooms = tuple(re.findall(r"`([^`]+)`", files))
        there = sum(n for name, n in lines.items() if name.startswith(rooms))
        assert abs(int(count.replace(",", "")) - there) <= 25, f"{files}: {there}"
