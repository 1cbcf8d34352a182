"""What all benchmarks share: interleaved timing, peak memory, and the files of results.

A result is a file of benchmarks/results: the command, the machine, and rows, each with our figure
and a named peer's on the same work in the same run. ``page.py`` makes docs/benchmarks.md of them.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
_REPOSITORY = RESULTS.parents[1]
sys.path.insert(0, str(_REPOSITORY / "tests"))  # peers.py is there
_ENVIRONMENT = os.environ | {
    "PYTHONPATH": f"{_REPOSITORY}{os.pathsep}{_REPOSITORY / 'tests'}",
    "OMP_NUM_THREADS": "1",
}
_PACKAGES = (
    *("torch", "torchvision", "segmentation-models-pytorch", "numpy", "triton"),
    *("opencv-python-headless", "Pillow"),
)


def parser(document: str) -> argparse.ArgumentParser:
    """The options that all benchmarks have; ``document`` is the module's docstring."""
    options = argparse.ArgumentParser(
        description=document, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=5, help="turns of each, compared in pairs")
    options.add_argument("--threads", type=int, default=1, help="threads of one process")
    options.add_argument("--no-save", action="store_true", help="print, and write no result")
    return options


def take_turns(routines: dict[str, Callable], rounds: int, synchronize=None, threads: int = 1):
    """Milliseconds of each routine in each round, after one warm-up: they run in turn.

    What else the machine does falls on all of them; ``ratio`` then compares round by round. On one
    thread it is the processor's time, which others' work does not count into; with
    ``synchronize``, of a GPU, or with several threads that of the clock on the wall.
    """
    clock = time.process_time if threads == 1 and synchronize is None else time.perf_counter
    synchronize = synchronize or (lambda: None)
    times: dict[str, list[float]] = {name: [] for name in routines}
    for turn in range(-1, rounds):
        names = list(routines) if turn % 2 else list(routines)[::-1]
        for name in names:
            synchronize()
            start = clock()
            routines[name]()
            synchronize()
            if turn >= 0:
                times[name].append(1e3 * (clock() - start))
    return times


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median over the rounds of our time to theirs."""
    return statistics.median(a / b for a, b in zip(ours, theirs))


def time_row(work: str, quantity: str, ours: list[float], peer: str, theirs: list[float], **others):
    """A row of a result, of times of ``take_turns``: the least of each, and the paired ratio."""
    return {
        "work": work,
        "quantity": quantity,
        "unit": "ms",
        "ours": min(ours),
        "peer": peer,
        "theirs": min(theirs),
        "ratio": ratio(ours, theirs),
        **others,
    }


def process_milliseconds(command: list[str], folder: Path | None = None) -> float:
    """The processor's time, user and system, of a process from its start to its end."""
    before = _children_seconds()
    subprocess.run(command, check=True, capture_output=True, env=_ENVIRONMENT, cwd=folder)
    return 1e3 * (_children_seconds() - before)


def _children_seconds():
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def in_process(script: str, *arguments, gives_back: bool = False) -> dict:
    """What another process of ``script`` prints as its last line, in JSON.

    ``gives_back``: in it freed memory goes back to the system at once (with glibc), so that
    ``memory_taken`` sees all that is taken; it takes more time.
    """
    environment = _ENVIRONMENT | ({"MALLOC_MMAP_THRESHOLD_": "65536"} if gives_back else {})
    command = [sys.executable, script, *map(str, arguments)]
    output = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    ).stdout
    return json.loads(output.splitlines()[-1])


def memory_taken(function: Callable) -> int:
    """The most bytes that this process had in memory while ``function`` ran, beside those before.

    On Linux alone. What earlier calls have freed may be kept for later ones: call it in a process
    that ``gives_back``.
    """
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    function()
    return _status("VmHWM") - before


def _status(name):
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith(f"{name}:")
    )
    return 1024 * int(line.split()[1])


def save(name: str, rows: list[dict], options: argparse.Namespace, **others):
    """Print the rows, and write benchmarks/results/NAME.json."""
    for row in rows:
        print(_line(row))
    if options.no_save:
        return
    RESULTS.mkdir(exist_ok=True)
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    facts = {"command": command, "date": datetime.date.today().isoformat(), **machine(options)}
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({**facts, **others, "rows": rows}, indent=1) + "\n")


def _line(row):
    return (
        f"{row['work']}: {row['quantity']}: ours {row['ours']:.4g} {row['unit']}, {row['peer']} "
        f"{row['theirs']:.4g}, ratio {row['ratio']:.3f}"
    )


def machine(options: argparse.Namespace) -> dict:
    """Processor, accelerator and versions."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "threads": options.threads,
        "accelerator": _accelerator(),
        "versions": versions,
    }


def _processor():
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def _accelerator():
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None
