"""Whether the library has become slower: ratios of benchmarks/results, and what they should be.

    python benchmarks/guard.py                 # results as they lie there
    python benchmarks/guard.py --run           # measured anew first, those that need no GPU

A ratio, ours to a peer's in one run, is what noise falls on both sides of. It must not pass the aim
that stands beside it, nor that of the last commit by more than a third.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
RUN = ("fused_loss.py", "upsampled_argmax.py", "startup.py")
_MORE = 1.33


def complaints(path: Path) -> list[str]:
    """What is wrong with the ratios of one file of results."""
    rows, before = _rows(path.read_text()), _rows(_committed(path))
    found = []
    for name, row in rows.items():
        if row["ratio"] > row.get("aim", float("inf")):
            found.append(f"{name}: ratio {row['ratio']:.3f}, should be {row['aim']:.3g} at most")
        if name in before and row["ratio"] > _MORE * before[name]["ratio"] + 0.02:
            found.append(f"{name}: ratio {row['ratio']:.3f}, was {before[name]['ratio']:.3f}")
    return [f"{path.name}: {complaint}" for complaint in found]


def _rows(text):
    rows = json.loads(text)["rows"] if text else []
    return {f"{row['work']}, {row['quantity']}, {row['peer']}": row for row in rows}


def _committed(path):
    command = ["git", "show", f"HEAD:./{path.name}"]
    return subprocess.run(command, cwd=path.parent, capture_output=True, text=True).stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", action="store_true", help="measure anew first")
    if parser.parse_args().run:
        for script in RUN:
            subprocess.run([sys.executable, str(FOLDER / script)], check=True)
    paths = sorted((FOLDER / "results").glob("*.json"))
    found = [complaint for path in paths for complaint in complaints(path)]
    print("\n".join(found) or f"{len(paths)} results: no ratio is worse than it should be")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
