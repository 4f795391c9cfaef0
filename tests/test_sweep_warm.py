"""Runs that start warm are like runs that start cold, and see nothing of one another."""

import io
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from sweep_notebooks import SAVE, write_notebook, write_training

from ae_helpers.sweep import cluster, forks, run, sweep, warm

LEAKS = """\
import builtins, json, os, random, sys, threading
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
save_run("mine", model, history, params)
plt.plot([seed])"""
KILL = """\
import os, pathlib, signal, psutil
marker = pathlib.Path({marker!r})
if seed == 0 and not marker.exists():
    marker.touch()
    psutil.Process(os.getppid()).parent().kill()
    import time; time.sleep(60)"""


def start_of(out, name="run-0000"):
    return json.loads((out / name / "metrics.json").read_text())["start"]


def test_one_run_sees_nothing_of_another(tmp_path):
    notebook = write_notebook(
        tmp_path / "n.ipynb", "seed = 0", LEAKS, SAVE.format(metrics="seen | {'seed': seed}")
    )
    rows = sweep(notebook, {"seed": range(2)}, out=tmp_path / "out", workers=1)
    assert [start_of(tmp_path / "out", row["run"]) for row in rows] == ["warm", "warm"]
    signs = ("module", "builtin", "environment", "path", "variable", "file", "folder", "thread")
    assert [[row[sign] for sign in (*signs, "main")] for row in rows] == 2 * [9 * [False]]
    assert rows[0]["python"] != rows[1]["python"] and rows[0]["numpy"] != rows[1]["numpy"]


def test_warm_and_cold_runs_give_the_same_weights_and_figures(tmp_path):
    notebook = write_notebook(tmp_path / "n.ipynb", "seed = 0", TRAIN)
    weights, outputs = [], []
    for cold in (False, True):
        out = tmp_path / f"{cold}"
        (row,) = sweep(notebook, {"seed": [3]}, out=out, cold=cold)
        assert (row["status"], start_of(out)) == ("done", "cold" if cold else "warm")
        with np.load(out / "run-0000/runs/mine/weights.npz") as arrays:
            weights.append({name: arrays[name].tobytes() for name in arrays})
        cells = json.loads((out / "run-0000/notebook.ipynb").read_text())["cells"]
        outputs += [output for cell in cells for output in cell.get("outputs", [])]
    assert weights[0] == weights[1]
    figures = [o["data"]["image/png"] for o in outputs if "image/png" in o.get("data", ())]
    assert len(figures) == 2 and figures[0] == figures[1]


def test_a_warm_process_that_dies_is_replaced_and_no_run_is_lost(tmp_path):
    notebook = write_notebook(
        tmp_path / "n.ipynb",
        "seed = 0",
        KILL.format(marker=str(tmp_path / "killed")),
        SAVE.format(metrics="{'saved': seed}"),
    )
    rows = sweep(notebook, {"seed": range(3)}, out=tmp_path / "out", workers=2)
    assert (tmp_path / "killed").exists()
    assert [(row["status"], row["saved"]) for row in rows] == [("done", i) for i in range(3)]
    assert not warm._processes


def test_a_run_that_kills_each_warm_process_starts_cold_at_last(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(warm, "start", lambda name, *_: asked.append(name) or Lost())
    (row,) = sweep(write_training(tmp_path / "n.ipynb"), {"seed": [1]}, out=tmp_path / "out")
    assert (row["status"], len(asked)) == ("done", 2)
    assert start_of(tmp_path / "out") == "cold: its warm process died each time"


class Lost(warm.WarmRun):
    """A run of which nothing is heard."""

    def __init__(self):
        super().__init__(None, io.BytesIO())

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
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", warm.START, "endless"]
    with theirs, ours:
        process = subprocess.Popen(
            command, stdin=theirs, stdout=subprocess.PIPE, env=os.environ | path
        )
        theirs.close()
        assert process.stdout.read(1) == b"x"
    assert process.wait(60) == 0
    process.stdout.close()


def test_where_there_is_a_gpu_runs_start_cold(tmp_path, monkeypatch):
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(forks, "GPUS", (str(tmp_path / "nvidia[0-9]*"),))
    assert forks._prepare() == "there is a GPU, which does not outlive a fork"
