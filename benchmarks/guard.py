"""Check that the library has not become slower, by the ratios in benchmarks/results.

    python benchmarks/guard.py                 # check the existing results
    python benchmarks/guard.py --run           # first repeat the benchmarks that need no GPU

A ratio compares ours with a peer in one run, so noise affects both. It must not exceed its aim, nor
exceed the ratio of the last commit by more than a third.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
RUN = ("fused_loss.py", "upsampled_argmax.py", "startup.py")
_MAX_INCREASE, _NOISE = 1.33, 1.05


def problems(path: Path) -> list[str]:
    """List the ratios in one file of results that are too high."""
    rows, before = _rows(path.read_text(encoding="utf-8")), _rows(_committed(path))
    messages = []
    for name, row in rows.items():
        if row["ratio"] > _NOISE * row.get("aim", float("inf")):
            messages.append(f"{name}: ratio {row['ratio']:.3f}, expected at most {row['aim']:.3g}")
        if name in before and row["ratio"] > _MAX_INCREASE * before[name]["ratio"] + 0.02:
            messages.append(f"{name}: ratio {row['ratio']:.3f}, was {before[name]['ratio']:.3f}")
    return [f"{path.name}: {message}" for message in messages]


def _rows(text):
    rows = json.loads(text)["rows"] if text else []
    return {f"{row['work']}, {row['quantity']}, {row['peer']}": row for row in rows}


def _committed(path):
    command = ["git", "show", f"HEAD:./{path.name}"]
    output = subprocess.run(command, cwd=path.parent, capture_output=True, encoding="utf-8")
    return output.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--run", action="store_true", help="repeat the benchmarks that need no GPU first"
    )
    if parser.parse_args().run:
        for script in RUN:
            subprocess.run([sys.executable, str(FOLDER / script)], check=True)
    paths = sorted((FOLDER / "results").glob("*.json"))
    messages = [message for path in paths for message in problems(path)]
    print("\n".join(messages) or f"{len(paths)} results: all ratios are within their limits")
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
