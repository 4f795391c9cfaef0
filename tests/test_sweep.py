"""A sweep makes every run once, whatever befalls it; these tests start real kernels."""

import contextlib
import csv
import fcntl
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from chaos_sweep import kill_a_worker, kill_and_resume, leave_in_peace, live_processes
from sweep_notebooks import SAVE, write_notebook, write_training

from ae_helpers.sweep import cluster, sweep
from ae_helpers.sweep import run as sweep_run
from ae_helpers.sweep.__main__ import main


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A sweep of three runs, of which one fails."""
    folder = tmp_path_factory.mktemp("sweep")
    notebook = write_training(folder / "n.ipynb")
    code = main([str(notebook), "--vary=seed=0:3", "--set=fail_at=1", f"--out={folder / 'out'}"])
    return folder, code


DONE = {"status": "done", "error": None, "metrics": {"val_loss": 9.0}, "seconds": 0.0}
DONE |= {"data_fingerprint": None, "versions": {}}


def do_by(distribute, monkeypatch):
    """Put a generator in the place of workers."""
    monkeypatch.setattr(cluster, "distribute", distribute)
    monkeypatch.setattr(cluster, "connect", lambda *_: contextlib.nullcontext())


def rows_of(out):
    with (out / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def outcome_of(out, run):
    return json.loads((out / run / "metrics.json").read_text())


def test_the_table_holds_every_run_in_order(ended):
    folder, code = ended
    rows = rows_of(folder / "out")
    assert [(row["run"], row["seed"], row["status"]) for row in rows] == [
        ("run-0000", "0", "done"),
        ("run-0001", "1", "failed"),
        ("run-0002", "2", "done"),
    ]
    assert [row["val_loss"] for row in rows] == ["0.0", "", "2.0"]
    assert code == 1


def test_a_run_that_fails_leaves_its_error_and_its_notebook(ended):
    folder, _ = ended
    assert rows_of(folder / "out")[1]["error"] == "cell 3: ValueError: seed is bad"
    cells = json.loads((folder / "out/run-0001/notebook.ipynb").read_text())["cells"]
    assert any("seed is bad" in json.dumps(cell.get("outputs", [])) for cell in cells)


def test_a_run_records_what_made_it(ended):
    folder, _ = ended
    outcome = outcome_of(folder / "out", "run-0002")
    assert outcome["params"] == {"seed": 2, "scale": 1.0, "fail_at": 1}
    assert (outcome["seed"], outcome["metrics"]) == (2, {"val_loss": 2.0})
    assert outcome["seconds"] > 0 and "tensorflow" in outcome["versions"]
    files = {
        p.relative_to(folder / "out/run-0002").as_posix() for p in folder.rglob("run-0002/**/*.*")
    }
    assert files == {"metrics.json", "notebook.ipynb", "runs/mine/metrics.json"}


def test_resuming_makes_only_what_is_missing_or_failed(ended, monkeypatch):
    folder, _ = ended
    out = folder / "out"
    (out / "run-0002/metrics.json").unlink()
    asked = []

    def distribute(client, work, tasks):
        asked.extend(tasks)
        for name in tasks:
            yield name, DONE, {}

    do_by(distribute, monkeypatch)
    arguments = {"vary": {"seed": range(3)}, "fixed": {"fail_at": 1}, "out": out}
    rows = sweep(folder / "n.ipynb", **arguments, resume=True)
    assert asked == ["run-0001", "run-0002"]
    assert [row["val_loss"] for row in rows] == [0.0, 9.0, 9.0]
    sweep(folder / "n.ipynb", **arguments, resume=True)
    assert len(asked) == 2  # a finished sweep asks for nothing


def test_the_table_is_written_while_the_other_runs_go_on(tmp_path, monkeypatch):
    out = tmp_path / "out"

    def distribute(client, work, tasks):
        yield "run-0000", DONE, {}
        yield "run-0001", DONE, {}
        time.sleep(0.1)
        yield None
        assert [row["run"] for row in rows_of(out)] == ["run-0000", "run-0001"]
        yield "run-0002", DONE, {}

    do_by(distribute, monkeypatch)
    monkeypatch.setattr("ae_helpers.sweep.BETWEEN_WRITES", 0.05)
    assert len(sweep(write_training(tmp_path / "n.ipynb"), {"seed": range(3)}, out=out)) == 3


def test_a_sweep_that_never_began_needs_no_resume(tmp_path, monkeypatch):
    notebook = write_training(tmp_path / "n.ipynb")
    monkeypatch.setattr(cluster, "CONNECT", 1)  # second
    with pytest.raises(ConnectionError):
        sweep(notebook, {"seed": [1]}, out=tmp_path / "out", scheduler="tcp://localhost:1")
    do_by(lambda client, work, tasks: iter([("run-0000", DONE, {})]), monkeypatch)
    assert len(sweep(notebook, {"seed": [1]}, out=tmp_path / "out")) == 1


def test_without_resume_a_sweep_is_not_touched(ended, capsys):
    folder, _ = ended
    arguments = [str(folder / "n.ipynb"), "--vary=seed=0:3", f"--out={folder / 'out'}"]
    assert main([*arguments, "--set=fail_at=1"]) == 2
    assert "holds this sweep already" in capsys.readouterr().err
    assert main([*arguments, "--set=fail_at=2", "--resume"]) == 2
    assert "holds another sweep (it differs in: set)" in capsys.readouterr().err


def test_a_place_with_something_else_is_not_touched(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("years of work")
    notebook = write_training(tmp_path / "n.ipynb")
    assert main([str(notebook), "--vary=seed=0:3", f"--out={tmp_path / 'out'}"]) == 2
    assert "not a sweep" in capsys.readouterr().err
    assert main([str(notebook), "--vary=seed=0:3", f"--out={tmp_path / 'out/thesis.txt'}"]) == 2
    assert "not a folder" in capsys.readouterr().err


def test_a_second_sweep_into_one_folder_is_refused(tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    with (out / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        notebook = write_training(tmp_path / "n.ipynb")
        assert main([str(notebook), "--vary=seed=0:3", f"--out={out}"]) == 2
    assert "Another sweep is at work" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vary=sede=0:3"], "did you mean 'seed'"),
        (["--vary=seed=0:20000"], "20,000 runs"),
        ([f"--vary={name}=0:1000" for name in ("seed", "scale", "fail_at")], "1,000,000,000 runs"),
        (["--set=seed=1"], "nothing to vary"),
        (["--vary=seed=0:3", "--vary=seed=5"], "there twice"),
        (["--vary=seed=0:3", "--workers=0"], "workers=0"),
        (["--vary=seed=0:3", "--timeout=0"], "timeout=0.0 cannot work"),
        (["--vary=seed=0:3", "--scheduler=tcp://localhost:1"], "no Dask scheduler"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(
    tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.setattr(cluster, "CONNECT", 1)  # second
    notebook = write_training(tmp_path / "n.ipynb")
    assert main([str(notebook), f"--out={tmp_path / 'out'}", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("out/run-*"))


def test_a_dry_run_prints_the_runs_and_makes_none(tmp_path, capsys):
    notebook = write_training(tmp_path / "n.ipynb")
    arguments = ["--vary=scale=0.5,2", "--vary=seed=0:2", f"--out={tmp_path / 'out'}"]
    assert main([str(notebook), *arguments, "--dry-run"]) == 0
    assert capsys.readouterr().out == (
        "run       scale  seed\n"
        "run-0000  0.5    0\n"
        "run-0001  0.5    1\n"
        "run-0002  2      0\n"
        "run-0003  2      1\n"
        "4 runs; a dry run starts none\n"
    )
    assert not (tmp_path / "out").exists()


TYPED = {
    "a": ("007", "'007'"),
    "b": ("1e-3", "0.001"),
    "c": ("true", "True"),
    "d": ("a,b", "'a,b'"),
    "e": ('it\'s “a "né" \\ 数”', repr('it\'s “a "né" \\ 数”')),
    "f": ('[1, 2.5, null, "x", false]', "[1, 2.5, None, 'x', False]"),
    "g": ("8", "8"),
    "h": ("2.0", "2.0"),
    "i": ("null", "None"),
    "j": ("'8'", "'8'"),
}


def test_values_keep_their_types_all_the_way_into_the_notebook(tmp_path):
    names = ", ".join(f"{name!r}: repr({name})" for name in (*TYPED, "varied"))
    parameters = "\n".join(f"{name} = 0" for name in (*TYPED, "varied"))
    notebook = write_notebook(
        tmp_path / "{n}.ipynb", parameters, SAVE.format(metrics=f"{{{names}}}")
    )
    given = [f"--set={name}={text}" for name, (text, _) in TYPED.items()]
    out = tmp_path / "out {0}"
    assert main([str(notebook), *given, "--vary=varied='a,b',[true]", f"--out={out}"]) == 0
    arrived = [outcome_of(out, run)["metrics"] for run in ("run-0000", "run-0001")]
    assert {name: arrived[0][name] for name in TYPED} == {n: r for n, (_, r) in TYPED.items()}
    assert [metrics["varied"] for metrics in arrived] == ["'a,b'", "[True]"]


def test_a_kernel_that_does_not_start_is_tried_again(tmp_path, monkeypatch):
    kernel = tmp_path / "kernels/flaky"
    kernel.mkdir(parents=True)
    (kernel / "start.py").write_text(
        "import pathlib, sys\n"
        "marker = pathlib.Path(__file__).with_name('tried')\n"
        "if not marker.exists():\n"
        "    marker.touch(); sys.exit('no luck')\n"
        "from ipykernel import kernelapp; kernelapp.launch_new_instance()\n"
    )
    argv = [sys.executable, str(kernel / "start.py"), "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "flaky", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    metrics = "{'threads': os.environ['OMP_NUM_THREADS']}"
    notebook = write_notebook(
        tmp_path / "n.ipynb", "seed = 0", SAVE.format(metrics=metrics), kernel="flaky"
    )
    rows = sweep(notebook, {"seed": [0]}, out=tmp_path / "out")
    assert (kernel / "tried").exists()
    assert [(row["status"], row["threads"]) for row in rows] == [("done", "1")]


def test_a_kernel_lost_in_the_middle_is_a_failed_run(tmp_path):
    notebook = write_notebook(tmp_path / "n.ipynb", "seed = 0", "1", "import os; os._exit(3)")
    (row,) = sweep(notebook, {"seed": [0]}, out=tmp_path / "out")
    assert row["status"] == "failed" and "kernel" in row["error"].lower()


def test_a_run_that_takes_too_long_is_stopped_and_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEP_TEST", str(tmp_path))
    notebook = write_notebook(tmp_path / "n.ipynb", "seed = 0", "import time; time.sleep(600)")
    start = time.monotonic()
    (row,) = sweep(notebook, {"seed": [0]}, out=tmp_path / "out", timeout=4)
    assert time.monotonic() - start < 60
    assert row["status"] == "failed"
    assert row["error"] == "It was stopped, since it took longer than 4 s."
    assert live_processes({"SWEEP_TEST": str(tmp_path)}, patience=5) == []


def test_a_run_records_the_data_it_was_made_from(tmp_path, tiny_arrays, monkeypatch):
    monkeypatch.setattr(sweep_run, "_run_process", lambda folder, task: None)
    place = SimpleNamespace(local_directory=tmp_path)
    monkeypatch.setattr("distributed.get_worker", lambda: place)
    task = {"data_source": str(tmp_path / "data.npz"), "sweep_started": 1.0}

    def fingerprint_of(arrays, **changes):
        np.savez(tmp_path / "data.npz", **arrays)
        outcome, _ = sweep_run.run_on_worker(task | changes)
        return outcome["data_fingerprint"]

    parts = [tiny_arrays[name].tobytes() for name in ("x_train", "y_train", "x_test", "y_test")]
    digest = hashlib.sha256(b"".join(parts)).hexdigest()
    assert fingerprint_of(tiny_arrays).endswith(f" {digest[:12]}")
    other = tiny_arrays | {"x_train": 255 - tiny_arrays["x_train"]}
    assert digest[:12] not in fingerprint_of(other, sweep_started=2.0), "in the next sweep"
    monkeypatch.setenv("AE_MNIST", str(tmp_path / "data.npz"))
    assert fingerprint_of(tiny_arrays, data_source="auto").endswith(f" {digest[:12]}")
    assert fingerprint_of(tiny_arrays, data_source=None) is None


def test_a_script_needs_no_guard_and_a_second_sweep_is_no_trouble(tmp_path):
    write_training(tmp_path / "n.ipynb")
    script = tmp_path / "script.py"
    script.write_text(
        "from ae_helpers.sweep import sweep\n"
        "for row in sweep('n.ipynb', {'seed': [4]}, out='out'):\n"
        "    print(row['seed'], row['status'], __file__)\n"
    )
    command = [sys.executable, str(script)]
    with socket.socket() as taken:
        with contextlib.suppress(OSError):  # then somebody else has taken it
            taken.bind(("127.0.0.1", 8787))  # where each Dask cluster wants to show itself
            taken.listen()
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout == f"1 of 1 runs done, 0 failed\n4 done {script}\n"
    assert done.stderr == ""


@pytest.mark.parametrize("moment", ["spawn_main", "ipykernel"], ids=["workers start", "runs run"])
def test_ctrl_c_ends_everything_and_says_how_to_go_on(tmp_path, moment):
    notebook = write_training(tmp_path / "n.ipynb", seconds=60)
    command = [sys.executable, "-m", "ae_helpers.sweep", str(notebook), "--vary=seed=0:2"]
    marker = {"SWEEP_TEST": str(tmp_path)}
    process = subprocess.Popen(
        [*command, f"--out={tmp_path / 'out'}"],
        env=os.environ | marker,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    while not any(moment in " ".join(p) for p in live_processes(marker)):
        assert time.monotonic() < end
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.strip() == "Interrupted: the same line with --resume makes what is missing."
    assert live_processes(marker, patience=5) == []


@pytest.fixture(scope="module")
def peaceful(tmp_path_factory):
    """A notebook, and the table of a sweep of it that nothing disturbed."""
    return leave_in_peace(tmp_path_factory.mktemp("peaceful"), runs=3)


def test_a_sweep_killed_and_resumed_ends_like_one_undisturbed(tmp_path, peaceful):
    kill_and_resume(tmp_path, *peaceful, kills=2, random_seed=0)


def test_a_cluster_gives_the_same_and_does_without_a_worker_that_dies(tmp_path, peaceful):
    kill_a_worker(tmp_path, *peaceful)
