"""Download a data set's archives, or use archives on this machine; check and unpack them.

The command can be repeated: existing files are kept, and an interrupted download is resumed.
"""

import argparse
from pathlib import Path

from gluonvision.data.datasets.locations import default_folder
from gluonvision.data.download.archives import SOURCES
from gluonvision.data.download.prepare import prepare

# Names of --dataset whose archives have another name.
_ALIASES = {"coco": "mscoco", "citys": "cityscapes"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    names = [*SOURCES, *_ALIASES]
    parser.add_argument("name", choices=names, metavar="NAME", help=f"data set: {', '.join(names)}")
    parser.add_argument(
        "--root",
        type=Path,
        metavar="FOLDER",
        help="folder to unpack into (default: the data set's folder in GLUONVISION_DATA)",
    )
    parser.add_argument(
        "--archive",
        action="append",
        default=[],
        metavar="FILE",
        help="use this archive instead of downloading it; keep its original file name; may be "
        "repeated",
    )
    parser.add_argument(
        "--mirror", metavar="URL", help="address of a folder to download from first"
    )
    parser.add_argument(
        "--no-verify",
        action="store_true",
        help="accept --archive files whose checksum differs from the published one",
    )


def run(options: argparse.Namespace) -> None:
    """Prepare the data set and print its folder."""
    name = _ALIASES.get(options.name, options.name)
    source = SOURCES[name]
    folder = options.root or default_folder(source.folder)
    archives = ", ".join(archive.name for archive in source.archives)
    print(f"{name}: {archives} into {folder} (change it with --root or GLUONVISION_DATA)")
    print(f"terms: {source.terms}")
    folder = prepare(name, folder, options.archive, options.mirror, not options.no_verify)
    print(f"{name}: ready in {folder}")
    if (folder / "downloads").is_dir():
        print(f"You can delete the archives in {folder / 'downloads'}.")
