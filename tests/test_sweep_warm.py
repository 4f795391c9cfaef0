"""Runs that start warm are like runs that start cold, and see nothing of one another."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import psutil
import pytest
from sweep_notebooks import SAVE, write_notebook, write_training

from ae_helpers.sweep import cluster, folder, forks, run, sweep, warm

LEAKS = """\
import builtins, gc, json, os, random, sys, threading
import numpy as np
seen = {
    "module": hasattr(json, "left"),
    "builtin": hasattr(builtins, "left"),
    "environment": "LEFT" in os.environ,
    "path": "/left" in sys.path,
    "variable": "left" in globals(),
    "file": os.path.exists("left.txt"),
    "folder": not os.getcwd().endswith("run/run") and os.path.basename(os.getcwd()) != "run",
    "thread": any(thread.name == "left" for thread in threading.enumerate()),
    "collector": not gc.isenabled(),
    "main": sys.modules["__main__"].__dict__ is not globals(),
    "python": random.random(),
    "numpy": float(np.random.rand()),
}
json.left = builtins.left = left = 1
os.environ["LEFT"] = "1"
sys.path.insert(0, "/left")
open("left.txt", "w").close()
threading.Thread(target=threading.Event().wait, name="left", daemon=True).start()
random.seed(0), np.random.seed(0)
os.chdir("/")"""
TRAIN = """\
import os, pathlib
place = pathlib.Path(os.environ["TF_XLA_FLAGS"].partition("=")[2].strip('"'))
programs = len(list(place.glob("*.pb")))
from ae_helpers import build_autoencoder, load_mnist, prepare, save_run, train
import matplotlib.pyplot as plt
import keras
keras.utils.set_random_seed(seed)
(images, _), _ = load_mnist("sample")
model, _, _ = build_autoencoder()
model.compile(optimizer="adam", loss="binary_crossentropy")
params = {"hidden_dim": 32, "latent_dim": 2, "latent_activation": "relu", "seed": seed}
few = prepare(images[:320])
history = train(model, few, validation_data=few, epochs=1, verbose=0)
save_run("mine", model, history, params, {"programs": programs})
plt.plot([seed])"""
KILL = """\
import os, pathlib, signal, psutil
marker = pathlib.Path({marker!r})
if seed == 0 and not marker.exists():
    marker.touch()
    psutil.Process(os.getppid()).parent().kill()
    import time; time.sleep(60)"""


def outcome_of(out, name):
    return json.loads((out / name / "metrics.json").read_text())


def start_of(out, name="run-0000"):
    return outcome_of(out, name)["start"]


def test_one_run_sees_nothing_of_another(tmp_path, monkeypatch):
    monkeypatch.setattr(warm, "IMPORTS", (*warm.IMPORTS, "numpy.random"))  # as for Keras
    notebook = write_notebook(
        tmp_path / "n.ipynb", "seed = 0", LEAKS, SAVE.format(metrics="seen | {'seed': seed}")
    )
    rows = sweep(notebook, {"seed": range(2)}, out=tmp_path / "out", workers=1)
    assert [start_of(tmp_path / "out", row["run"]) for row in rows] == ["warm", "warm"]
    signs = ("module", "builtin", "environment", "path", "variable", "file", "folder", "thread")
    signs += ("collector", "main")
    assert [[row[sign] for sign in signs] for row in rows] == 2 * [10 * [False]]
    assert rows[0]["python"] != rows[1]["python"] and rows[0]["numpy"] != rows[1]["numpy"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The rows of a warm sweep, which trains twice the same, and of a cold one, by folder."""
    place = tmp_path_factory.mktemp("trained")
    notebook = write_notebook(place / "n.ipynb", "seed = 0\nagain = 0", TRAIN)
    options = {"fixed": {"seed": 3}, "workers": 1}
    warm = sweep(notebook, {"again": [0, 1]}, out=place / "warm", **options)
    cold = sweep(notebook, {"again": [0]}, out=place / "cold", cold=True, **options)
    return {place / "warm": warm, place / "cold": cold}


def test_warm_and_cold_runs_give_the_same_weights_and_figures(trained):
    weights, figures = [], []
    for out, runs in trained.items():
        for row in runs:
            assert (row["status"], row["start"]) == ("done", out.name)
            with np.load(out / row["run"] / "runs/mine/weights.npz") as arrays:
                weights.append({name: arrays[name].tobytes() for name in arrays})
            cells = json.loads((out / row["run"] / "notebook.ipynb").read_text())["cells"]
            outputs = [output for cell in cells for output in cell.get("outputs", [])]
            figures += [o["data"]["image/png"] for o in outputs if "image/png" in o.get("data", ())]
    assert len(weights) == 3 and all(each == weights[0] for each in weights)
    assert len(figures) == 3 and len(set(figures)) == 1


def test_the_second_run_of_equal_shapes_loads_the_programs_of_the_first(trained):
    assert [[row["programs"] for row in runs] for runs in trained.values()] == [[0, 2], [0]]


def test_the_seconds_of_a_run_are_split_into_stages(trained):
    for out, runs in trained.items():
        for row in runs:
            stages = outcome_of(out, row["run"])["stages"]
            assert set(stages) == set(folder.STAGES) and min(stages.values()) > 0
            assert sum(stages.values()) < row["seconds"] and stages["save"] < 1
            assert stages == {name: row[f"{name}_seconds"] for name in folder.STAGES}
    (_, later), (cold,) = trained.values()
    assert later["start_seconds"] < cold["start_seconds"]


def test_a_warm_process_that_dies_is_replaced_and_no_run_is_lost(tmp_path):
    notebook = write_notebook(
        tmp_path / "n.ipynb",
        "seed = 0",
        KILL.format(marker=str(tmp_path / "killed")),
        SAVE.format(metrics="{'saved': seed}"),
    )
    rows = sweep(notebook, {"seed": range(3)}, out=tmp_path / "out", workers=2)
    assert (tmp_path / "killed").exists()
    found = [(row["status"], row["start"], row["saved"]) for row in rows]
    assert found == [("done", "warm", i) for i in range(3)]
    assert not warm._processes


def test_a_sweep_sees_what_has_changed_in_a_module_since_the_last_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(warm, "IMPORTS", (*warm.IMPORTS, "changing"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # it would be as old as a second
    notebook = write_notebook(
        tmp_path / "n.ipynb",
        "seed = 0",
        "import changing",
        SAVE.format(metrics="{'saw': changing.value}"),
    )
    for value in (1, 2):
        (tmp_path / "changing.py").write_text(f"value = {value}")
        (row,) = sweep(notebook, {"seed": [0]}, out=tmp_path / f"{value}")
        assert (row["start"], row["saw"]) == ("warm", value)


def test_a_run_that_kills_each_warm_process_starts_cold_at_last(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(warm, "start", lambda name, *_: asked.append(name) or Lost())
    (row,) = sweep(write_training(tmp_path / "n.ipynb"), {"seed": [1]}, out=tmp_path / "out")
    assert (row["status"], len(asked)) == ("done", 2)
    assert start_of(tmp_path / "out") == "cold: its warm process died each time"


class Lost(warm.WarmRun):
    """A run of which nothing is heard."""

    def __init__(self):
        super().__init__(None, None)

    def poll(self):
        raise ChildProcessError


def test_where_runs_cannot_start_warm_the_sweep_says_so_once(tmp_path, monkeypatch, capsys):
    outcome = {"status": "done", "error": None, "metrics": {}, "seconds": 0.0, "versions": {}}
    outcome["start"] = "cold: this system has no safe fork"
    done = [(f"run-000{i}", outcome, {}) for i in range(2)]
    monkeypatch.setattr(cluster, "distribute", lambda *_: iter(done))
    sweep(write_training(tmp_path / "n.ipynb"), {"seed": range(2)}, out=tmp_path / "out")
    assert capsys.readouterr().out.count("Runs start cold: this system has no safe fork.") == 1


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        (
            "from threading import *; Thread(target=Event().wait, daemon=True).start()",
            "the imports have started threads, which do not outlive a fork",
        ),
        ("import no_such_module", "an import failed: No module named 'no_such_module'"),
        ("", ""),
    ],
    ids=["thread", "import", "nothing"],
)
def test_nothing_is_forked_from_a_process_that_is_not_fit(tmp_path, code, refusal):
    (tmp_path / "preloaded.py").write_text(code)
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['', 'preloaded']\n"
    program += "from ae_helpers.sweep import forks; print(forks._prepare())"
    one_thread = os.environ | dict.fromkeys(run.THREADS, "1")  # NumPy would start some, too
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=one_thread)
    assert done.stdout.strip() == refusal


def test_a_warm_process_that_still_imports_ends_with_its_sweep(tmp_path):
    (tmp_path / "endless.py").write_text("import os, time; os.write(1, b'x'); time.sleep(600)")
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    imports = [sys.executable, "-c", warm.START, "endless"]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sweeping = "import os, subprocess, sys; subprocess.Popen(sys.argv[1:], stdin=0); os.read(2, 1)"
    with theirs, ours:
        parent = subprocess.Popen(
            [sys.executable, "-c", sweeping, *imports],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=os.environ | path,
        )
        assert parent.stdout.read(1) == b"x"
        (child,) = psutil.Process(parent.pid).children()
        parent.kill()  # and the socket is open still
        psutil.wait_procs([child], timeout=10)
        parent.wait()
        parent.stdout.close()
        assert not child.is_running()


def test_where_there_is_a_gpu_runs_start_cold(tmp_path, monkeypatch):
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(forks, "GPUS", (str(tmp_path / "nvidia[0-9]*"),))
    assert forks._prepare() == "there is a GPU, which does not outlive a fork"
