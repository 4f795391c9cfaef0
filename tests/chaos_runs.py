"""Kill savers of a run, and let many save and load one name at once; count what is left whole.

`python tests/chaos_runs.py` does it in full (under a minute); the tests in a small form.
"""

import argparse
import collections
import itertools
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from ae_helpers.runs import load_run, save_run

SHAPES = {"encoder_hidden": (784, 4), "code": (4, 2), "decoder_hidden": (2, 4)}
SHAPES["reconstruction"] = (4, 784)
DISK = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}  # Python's names for the steps


def save(number):
    """Save a run in which every number is the same, so that a mixture of two is seen."""
    arrays = [[np.full(s, number, "f4"), np.full(s[1:], number, "f4")] for s in SHAPES.values()]
    layers = [
        SimpleNamespace(name=name, get_weights=lambda pair=pair: pair)
        for name, pair in zip(SHAPES, arrays, strict=True)
    ]
    history = SimpleNamespace(history={"loss": [float(number)]})
    params = {"seed": number, "hidden_dim": 4, "latent_dim": 2, "latent_activation": "relu"}
    save_run("mine", SimpleNamespace(layers=layers), history, params, {"number": number})


def look():
    """Load the run, and say in a word what came: whole, mixed, damaged or lost."""
    try:
        run = load_run("mine")
    except ValueError:
        return "damaged"
    except FileNotFoundError:
        return "lost"
    dense = run.encoder_weights + run.decoder_weights
    numbers = {run.params["seed"], run.metrics["number"], *run.history["loss"]}
    numbers |= {end(array) for layer in dense for array in layer[:2] for end in (np.min, np.max)}
    return "whole" if len(numbers) == 1 else "mixed"


def leftovers(folder):
    """Count what lies beside the run."""
    return len(set(os.listdir(folder)) - {"mine", ".ae-lock"})


def kill_at_each_step(folder):
    """Kill a saver before its first step on the disk, its second, and so on to its last."""
    found = collections.Counter()
    for steps in itertools.count(1):
        os.environ["AE_RUNS_DIR"] = str(folder / f"step-{steps}")
        save(1)
        child = os.fork()
        if child == 0:
            left = iter(range(steps))

            def kill(event, _, left=left):
                if event in DISK and next(left, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(kill)
            save(2)
            os._exit(0)
        killed = os.waitpid(child, 0)[1] != 0
        found[look()] += 1
        save(3)
        found[look()] += 1
        found["leftovers"] += leftovers(Path(os.environ["AE_RUNS_DIR"]))
        if not killed:
            return found | {"steps": steps}


def kill_at_random(folder, kills, moments):
    """Kill one saver after another at a moment of its own."""
    os.environ["AE_RUNS_DIR"] = str(folder)
    found = collections.Counter()
    for number in range(kills):
        process, pipe = start(save_again, number)
        pipe.recv()  # its first save is done
        time.sleep(moments.uniform(0, 0.05))
        process.kill()
        process.join()
        found[look()] += 1
    save(kills)
    found[look()] += 1
    found["leftovers"] += leftovers(folder)
    return found


def crowd(folder, savers, loaders, seconds):
    """Let savers and loaders work at one name, all at once."""
    os.environ["AE_RUNS_DIR"] = str(folder)
    save(0)
    work = [start(save_again, number) for number in range(1, savers + 1)]
    work += [start(look_again) for _ in range(loaders)]
    time.sleep(seconds)
    found = collections.Counter()
    for _, pipe in work:
        pipe.send("end")
    for process, pipe in work:
        assert pipe.recv() == "started"
        found.update(pipe.recv())
        process.join()
    found[look()] += 1
    found["leftovers"] += leftovers(folder)
    return found


def start(target, *arguments):
    """Start a process that works on until it is told to end through its pipe."""
    pipe, its_pipe = multiprocessing.Pipe()
    # By fork, so that it starts at once.
    process = multiprocessing.get_context("fork").Process(
        target=target, args=(its_pipe, *arguments)
    )
    process.start()
    return process, pipe


def save_again(pipe, number):
    """Save again and again; tell how often."""
    for saves in itertools.count():
        if saves == 1:
            pipe.send("started")
        if saves and pipe.poll():
            return pipe.send({"saves": saves})
        save(number)


def look_again(pipe):
    """Load again and again; tell what came."""
    pipe.send("started")
    found = collections.Counter()
    while not pipe.poll():
        found[look()] += 1
    pipe.send(found)


def main():
    """Do it in full, or as much as the options say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = {
            "killed at each step": kill_at_each_step(folder),
            "killed at random": kill_at_random(
                folder / "random", given.kills, random.Random(given.seed)
            ),
            "4 save, 4 load": crowd(folder / "crowd", 4, 4, given.seconds),
            "1 saves, 1 loads": crowd(folder / "pair", 1, 1, given.seconds),
        }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
