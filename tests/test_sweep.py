"""A sweep makes every run once, whatever befalls it; these tests start real kernels."""

import contextlib
import csv
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import time

import distributed
import filelock
import pytest
from chaos_sweep import (
    dask,
    kill_a_worker,
    kill_and_resume,
    leave_in_peace,
    live_processes,
    wait_for,
)
from sweep_notebooks import SAVE, write_notebook, write_training

from ae_helpers.sweep import cluster, folder, run, sweep
from ae_helpers.sweep.__main__ import main

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
FATES = """\
import os, pathlib, signal, sys
pathlib.Path("error.txt").write_text("the notebook's own file")
pathlib.Path("metrics.json").mkdir()
if fate == "raises":
    raise ValueError("fate is bad")
if fate == "leaves":
    sys.exit(0)
if fate == "dies":
    os._exit(3)
if fate == "is orphaned":
    os.kill(os.getppid(), signal.SIGKILL)"""
SAVE_LIST = SAVE.format(metrics="[1, 2]")


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A sweep whose runs have different fates; its values are typed on the command line."""
    place = tmp_path_factory.mktemp("sweep")
    parameters = "\n".join(f"{name} = 0" for name in (*TYPED, "fate", "status"))
    metrics = ", ".join(f"{name!r}: repr({name})" for name in TYPED)
    save = (
        f"if fate == 'saves a list':\n    {SAVE_LIST.replace(chr(10), chr(10) + '    ')}\nelse:\n"
    )
    save += "    " + SAVE.format(metrics=f"{{{metrics}}}").replace("\n", "\n    ")
    notebook = write_notebook(place / "{n}.ipynb", parameters, FATES, save)
    given = [f"--set={name}={text}" for name, (text, _) in TYPED.items()]
    given += ["--vary=fate=ends,raises,leaves,dies,is orphaned,saves a list", "--set=status=7"]
    out = place / "out {0}"
    return out, main([str(notebook), *given, f"--out={out}"]), rows_of(out)


DONE = {"status": "done", "error": None, "metrics": {"val_loss": 9.0}, "seconds": 0.0}
DONE |= {"versions": {}}


def do_by(distribute, monkeypatch):
    """Put a generator in the place of workers."""
    monkeypatch.setattr(cluster, "distribute", distribute)
    monkeypatch.setattr(cluster, "connect", lambda *_: contextlib.nullcontext())


def rows_of(out):
    with (out / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def outcome_of(out, name):
    return json.loads((out / name / "metrics.json").read_text())


def test_the_table_holds_every_run_in_order(ended):
    _, code, rows = ended
    assert [row["run"] for row in rows] == [f"run-000{i}" for i in range(6)]
    assert [row["status"] for row in rows] == ["done"] + 5 * ["failed"]
    assert [row["fate"] for row in rows][:2] == ["ends", "raises"]
    assert code == 1


@pytest.mark.parametrize(
    ("row", "error"),
    [
        (0, ""),
        (1, "cell 3: ValueError: fate is bad"),
        (2, "A cell ended the notebook by sys.exit()."),
        (3, "The kernel died in the middle."),
        (4, "The run's process ended with code -9."),  # without a word of the kernel's TCP
        (5, "A metrics.json that the run saved cannot be read: it holds no names with values."),
    ],
)
def test_a_run_that_fails_says_why(ended, row, error):
    assert ended[2][row]["error"] == error


def test_a_parameter_with_the_name_of_a_column_does_not_replace_it(ended):
    assert [row["param.status"] for row in ended[2]] == 6 * ["7"]


def test_a_run_that_fails_leaves_its_notebook(ended):
    cells = json.loads((ended[0] / "run-0001/notebook.ipynb").read_text())["cells"]
    assert any("fate is bad" in json.dumps(cell.get("outputs", [])) for cell in cells)


def test_a_run_records_what_made_it(ended):
    outcome = outcome_of(ended[0], "run-0000")
    assert outcome["params"].items() >= {"fate": "ends", "b": 0.001, "status": 7}.items()
    assert outcome["seconds"] > 0 and "tensorflow" in outcome["versions"]
    paths = (ended[0] / "run-0000").rglob("*.*")
    files = {path.relative_to(ended[0] / "run-0000").as_posix() for path in paths}
    assert files == {"error.txt", "metrics.json", "notebook.ipynb", "runs/mine/metrics.json"}


def test_values_keep_their_types_all_the_way_into_the_notebook(ended):
    arrived = outcome_of(ended[0], "run-0000")["metrics"]
    assert arrived == {name: shown for name, (_, shown) in TYPED.items()}


def test_resuming_makes_only_what_is_missing_or_failed(tmp_path, monkeypatch):
    notebook, out = write_training(tmp_path / "n.ipynb"), tmp_path / "out"
    asked = []

    def distribute(place, work, tasks):
        asked.append(list(tasks))
        for name, task in tasks.items():
            failed = {"status": "failed"} if task["params"]["seed"] == 1 else {}
            yield name, DONE | failed, {"a/b": b""}

    do_by(distribute, monkeypatch)
    for _ in range(3):
        rows = sweep(notebook, {"seed": range(4)}, out=out, resume=True)
        (out / "run-0002/metrics.json").unlink()
    assert asked == [[f"run-000{i}" for i in range(4)]] + 2 * [["run-0001", "run-0002"]]
    assert [row["status"] for row in rows] == ["done", "failed", "done", "done"]


@pytest.mark.parametrize(
    "content",
    [b"", b"[1, 2]", b'{"run": "run-0000"}', b"\xff\xfe\xff", b"[" * 100_000, b'{"params": 1}'],
    ids=["empty", "list", "keys missing", "no text", "deep", "wrong types"],
)
def test_a_run_whose_folder_is_broken_is_made_again(tmp_path, monkeypatch, content):
    notebook, out = write_training(tmp_path / "n.ipynb"), tmp_path / "out"
    do_by(lambda place, work, tasks: ((name, DONE, {}) for name in tasks), monkeypatch)
    sweep(notebook, {"seed": range(2)}, out=out)
    (out / "run-0000/metrics.json").write_bytes(content)
    rows = sweep(notebook, {"seed": range(2)}, out=out, resume=True)
    assert [(row["status"], row["val_loss"]) for row in rows] == 2 * [("done", 9.0)]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"identity": 3}'])
def test_a_broken_sweep_json_is_said_in_a_sentence(tmp_path, capsys, content):
    (tmp_path / "sweep.json").write_text(content)
    notebook = write_training(tmp_path / "n.ipynb")
    assert main([str(notebook), "--vary=seed=0:2", f"--out={tmp_path}", "--resume"]) == 2
    assert "sweep.json is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("saved", [b"[1]", b'{"a": "\\ud800"}', b'{"a": "\xff"}', b"{", b"7"])
def test_metrics_that_are_none_fail_their_run_alone(tmp_path, saved):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/metrics.json").write_bytes(saved)
    with pytest.raises(ValueError):
        run._saved_metrics(tmp_path)


def test_half_of_a_character_in_an_error_does_not_stop_the_sweep(tmp_path, monkeypatch):
    failed = DONE | {"status": "failed", "error": "\ud800"}
    do_by(lambda place, work, tasks: ((name, failed, {}) for name in tasks), monkeypatch)
    sweep(write_training(tmp_path / "n.ipynb"), {"seed": [1]}, out=tmp_path / "out")
    assert rows_of(tmp_path / "out")[0]["error"] == "\\ud800"


def outcomes_with(*data, source="auto"):
    """Make outcomes of runs that say which data they had."""
    params = {"data_source": source} if source else {}
    return {
        f"run-{i}": DONE | {"run": f"run-{i}", "params": params, "metrics": {"data": name}}
        for i, name in enumerate(data)
    }


def test_a_run_that_fell_back_on_the_sample_is_not_mixed_with_the_others():
    rows = folder.table(outcomes_with("MNIST sample", "MNIST", "not MNIST", "MNIST"), [])
    assert [row["status"] for row in rows] == ["failed", "done", "failed", "done"]
    assert rows[0]["error"] == (
        "This run was made on MNIST sample, others with the same data_source on MNIST: "
        "give every machine the same data, and resume."
    )
    assert folder.done(outcomes_with("MNIST sample", "MNIST")) == {"run-1"}


def test_sweeps_over_data_and_notebooks_that_name_none_may_differ():
    both = outcomes_with("MNIST") | outcomes_with("MNIST sample", source="sample")
    assert len(folder.done(both)) == len(both)
    assert len(folder.done(outcomes_with("apples", "pears", source=None))) == 2
    unnamed = {"run-0": DONE | {"params": {"data_source": "auto"}}}
    assert len(folder.done(unnamed | {"run-1": outcomes_with("MNIST")["run-0"]})) == 2


def test_the_table_is_written_while_the_other_runs_go_on(tmp_path, monkeypatch):
    out = tmp_path / "out"

    def distribute(place, work, tasks):
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
    with pytest.raises(ConnectionError, match="no Dask scheduler"):
        sweep(notebook, {"seed": [1]}, out=tmp_path / "out", scheduler="tcp://localhost:1")
    do_by(lambda place, work, tasks: iter([("run-0000", DONE, {})]), monkeypatch)
    assert len(sweep(notebook, {"seed": [1]}, out=tmp_path / "out")) == 1


def test_without_resume_a_sweep_is_not_touched(ended, capsys):
    out, _, _ = ended
    notebook = out.parent / "{n}.ipynb"
    arguments = [str(notebook), f"--out={out}", "--vary=fate=ends,raises", "--set=status=7"]
    assert main([*arguments, "--resume"]) == 2
    assert "holds another sweep (it differs in: vary, set)" in capsys.readouterr().err


def test_a_sweep_that_is_there_is_resumed_only_when_asked(tmp_path, monkeypatch, capsys):
    do_by(lambda place, work, tasks: iter([("run-0000", DONE, {})]), monkeypatch)
    notebook = write_training(tmp_path / "n.ipynb")
    arguments = [str(notebook), "--vary=seed=0:1", f"--out={tmp_path / 'out'}"]
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert "holds this sweep already, with 1 of 1 runs done" in capsys.readouterr().err


def test_a_place_with_something_else_is_not_touched(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("years of work")
    notebook = write_training(tmp_path / "n.ipynb")
    assert main([str(notebook), "--vary=seed=0:3", f"--out={tmp_path / 'out'}"]) == 2
    assert "not a sweep" in capsys.readouterr().err
    assert main([str(notebook), "--vary=seed=0:3", f"--out={tmp_path / 'out/thesis.txt'}"]) == 2
    assert "not a folder" in capsys.readouterr().err


def test_a_second_sweep_into_one_folder_is_refused(tmp_path, capsys):
    notebook = write_training(tmp_path / "n.ipynb")
    (tmp_path / "out").mkdir()
    with filelock.FileLock(tmp_path / "out/.lock"):
        assert main([str(notebook), "--vary=seed=0:3", f"--out={tmp_path / 'out'}"]) == 2
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
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(tmp_path, capsys, arguments, message):
    notebook = write_training(tmp_path / "n.ipynb")
    assert main([str(notebook), f"--out={tmp_path / 'out'}", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("values", ["relu", 3])
def test_what_is_no_list_of_values_is_not_varied(tmp_path, values):
    notebook = write_training(tmp_path / "n.ipynb")
    with pytest.raises(ValueError, match=f"seed={values!r} cannot be varied: give a list"):
        sweep(notebook, {"seed": values}, out=tmp_path / "out")


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


def test_a_run_that_takes_too_long_is_stopped_and_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEP_TEST", str(tmp_path))
    notebook = write_notebook(tmp_path / "n.ipynb", "seed = 0", "import time; time.sleep(600)")
    (row,) = sweep(notebook, {"seed": [0]}, out=tmp_path / "out", timeout=4)
    assert row["status"] == "failed"
    assert row["error"] == "It was stopped, since it took longer than 4 s."
    assert live_processes({"SWEEP_TEST": str(tmp_path)}, patience=5) == []


def test_a_script_needs_no_guard_and_windows_no_posix(tmp_path):
    notebook = write_training(tmp_path / "n.ipynb")
    content = json.loads(notebook.read_text())
    del content["metadata"]  # neither does a notebook need what it says of its kernel
    notebook.write_text(json.dumps(content))
    script = tmp_path / "script.py"
    script.write_text(
        "import signal, sys\n"
        "sys.modules['fcntl'] = None  # as on Windows\n"
        "del signal.pthread_sigmask, signal.SIGKILL\n"
        "from ae_helpers.sweep import sweep\n"
        "for row in sweep('n.ipynb', {'seed': [4]}, out='out'):\n"
        "    print(row['seed'], row['status'], __file__)\n"
    )
    command = [sys.executable, "-W", "ignore:only soft file lock", str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout == f"1 of 1 runs done, 0 failed\n4 done {script}\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("options", "moment"),
    [([], "forks"), ([], "^ae-run"), ([], "^ipykernel"), (["--cold"], "ipykernel_launcher")],
)
def test_ctrl_c_ends_everything_and_says_how_to_go_on(tmp_path, options, moment):
    notebook = write_training(tmp_path / "n.ipynb", seconds=60)
    command = [sys.executable, "-m", "ae_helpers.sweep", str(notebook), "--vary=seed=0:2"]
    marker = {"SWEEP_TEST": str(tmp_path)}
    process = subprocess.Popen(
        [*command, *options, f"--out={tmp_path / 'out'}"],
        env=os.environ | marker,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: any(re.search(moment, " ".join(p)) for p in live_processes(marker)))
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.strip() == "Interrupted: the same line with --resume makes what is missing."
    assert live_processes(marker, patience=5) == []
    assert not (tmp_path / "out/.work").exists()


def test_work_that_fails_is_a_failed_run_and_the_others_go_on():
    def work(task, stop):
        return (DONE, {}) if task else 1 / 0

    with cluster.connect(None, 2) as place:
        results = {name: o for name, o, _ in cluster.distribute(place, work, {"a": 0, "b": 1})}
    assert results["b"] == DONE
    assert results["a"]["status"] == "failed" and "ZeroDivisionError" in results["a"]["error"]


def test_the_end_of_a_sweep_stops_what_is_under_way():
    stopped = []

    def work(task, stop):
        stopped.append(stop.wait(60))

    with pytest.raises(KeyboardInterrupt), cluster.connect(None, 1) as place:
        place.submit(work, None)
        raise KeyboardInterrupt
    assert stopped == [True]


def test_a_worker_of_another_version_does_nothing():
    with pytest.raises(RuntimeError, match=r"the sweep 9\.9: install the same"):
        run.run_on_worker({"version": "9.9"})


def test_a_worker_of_another_version_that_joins_gets_no_runs(tmp_path):
    (tmp_path / "ae_helpers-9.9.dist-info").mkdir()
    (tmp_path / "ae_helpers-9.9.dist-info/METADATA").write_text("Name: ae-helpers\nVersion: 9.9\n")
    first_on_path = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    }
    here = importlib.metadata.version("ae-helpers")

    def version_there(task):
        return {"version": importlib.metadata.version("ae-helpers")}, {}

    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=":0"
    ) as local:
        address = local.scheduler_address
        with cluster.connect(address, None) as place:
            joins = dask(tmp_path / "w", first_on_path, "worker", address, "--no-nanny")
            try:
                wait_for(lambda: len(local.scheduler.workers) == 2)
                results = cluster.distribute(place, version_there, dict.fromkeys(range(20)))
                assert [o["version"] for _, o, _ in filter(None, results)] == 20 * [here]
                with pytest.raises(ConnectionError, match="install the same on all"):
                    cluster.connect(address, None).__enter__()
            finally:
                joins.kill()
                joins.wait()


@pytest.fixture(scope="module")
def peaceful(tmp_path_factory):
    """A notebook, and the table of a sweep of it that nothing disturbed."""
    return leave_in_peace(tmp_path_factory.mktemp("peaceful"), runs=3)


def test_a_sweep_killed_and_resumed_ends_like_one_undisturbed(tmp_path, peaceful):
    kill_and_resume(tmp_path, *peaceful, kills=2, random_seed=0)


def test_a_cluster_gives_the_same_and_does_without_a_worker_that_dies(tmp_path, peaceful):
    kill_a_worker(tmp_path, *peaceful)
