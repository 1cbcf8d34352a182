"""Tools that all benchmarks share: interleaved timing, peak memory, and result files.

A result file in benchmarks/results records the command, the machine, and rows. Each row has our
figure and a named peer's, for the same work in the same run. ``page.py`` turns these files into
docs/benchmarks.md.
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
_SUPPORT = _REPOSITORY / "tests" / "support"  # contains peers.py
sys.path.insert(0, str(_SUPPORT))
_ENVIRONMENT = os.environ | {
    "PYTHONPATH": f"{_REPOSITORY}{os.pathsep}{_SUPPORT}",
    "OMP_NUM_THREADS": "1",
}
_PACKAGES = (
    *("torch", "torchvision", "segmentation-models-pytorch", "numpy", "triton"),
    *("opencv-python-headless", "Pillow"),
)


def parser(document: str) -> argparse.ArgumentParser:
    """Create the parser with the options of all benchmarks; ``document``: their docstring."""
    options = argparse.ArgumentParser(
        description=document, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=5, help="number of turns, compared in pairs")
    options.add_argument("--threads", type=int, default=1, help="number of threads per process")
    options.add_argument(
        "--no-save", action="store_true", help="print the results without writing a file"
    )
    return options


def take_turns(routines: dict[str, Callable], rounds: int, synchronize=None, threads: int = 1):
    """Time routines in turn, so that other load on the machine affects all of them alike.

    On one CPU thread, the time is CPU time, which excludes other processes. With several threads
    or a GPU, it is wall time.

    Args:
        routines: the functions to time, by name.
        rounds: number of timed rounds, after one warm-up.
        synchronize: function that waits for a GPU.
        threads: number of threads that the routines use.

    Returns:
        The milliseconds of each routine in each round, by name.
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
    """Median over the rounds of our time divided by theirs."""
    return statistics.median(a / b for a, b in zip(ours, theirs))


def time_row(work: str, quantity: str, ours: list[float], peer: str, theirs: list[float], **others):
    """Make a row from the times of ``take_turns``: the fastest of each, and the paired ratio."""
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
    """Run a process and measure its CPU time (user and system), in milliseconds."""
    before = _children_seconds()
    subprocess.run(command, check=True, capture_output=True, env=_ENVIRONMENT, cwd=folder)
    return 1e3 * (_children_seconds() - before)


def _children_seconds():
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def in_process(script: str, *arguments, gives_back: bool = False) -> dict:
    """Run ``script`` in another process and parse the last line of its output as JSON.

    Args:
        script: the script to run.
        arguments: its arguments.
        gives_back: return freed memory to the system at once (with glibc), so that
            ``memory_taken`` sees every allocation. This costs time.
    """
    environment = _ENVIRONMENT | ({"MALLOC_MMAP_THRESHOLD_": "65536"} if gives_back else {})
    command = [sys.executable, script, *map(str, arguments)]
    output = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    ).stdout
    return json.loads(output.splitlines()[-1])


def memory_taken(function: Callable) -> int:
    """Measure the peak memory of a call, in bytes above the memory in use before (on Linux).

    Call it in a process with ``gives_back``. Otherwise, the allocator may reuse memory that
    earlier calls freed.
    """
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
    before = _status("VmRSS")
    function()
    return _status("VmHWM") - before


def _status(name):
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        if line.startswith(f"{name}:")
    )
    return 1024 * int(line.split()[1])


def save(name: str, rows: list[dict], options: argparse.Namespace, **others):
    """Print the rows and write benchmarks/results/NAME.json."""
    for row in rows:
        print(_line(row))
    if options.no_save:
        return
    RESULTS.mkdir(exist_ok=True)
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    facts = {"command": command, "date": datetime.date.today().isoformat(), **machine(options)}
    path = RESULTS / f"{name}.json"
    path.write_text(
        json.dumps({**facts, **others, "rows": rows}, indent=1) + "\n", encoding="utf-8"
    )


def _line(row):
    return (
        f"{row['work']}: {row['quantity']}: ours {row['ours']:.4g} {row['unit']}, {row['peer']} "
        f"{row['theirs']:.4g}, ratio {row['ratio']:.3f}"
    )


def machine(options: argparse.Namespace) -> dict:
    """Describe the processor, the accelerator and the versions."""
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
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def _accelerator():
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None
