"""Fetch a data set's archives, or take those that are here, check them and unpack them.

Can be run again at any time: what is there already is left as it is, and a download that was cut
off goes on.
"""

import argparse
from pathlib import Path

from gluonvision.data.datasets.locations import default_folder
from gluonvision.data.download.archives import SOURCES
from gluonvision.data.download.prepare import prepare

# What --dataset calls those whose archives have another name.
_ALIASES = {"coco": "mscoco", "citys": "cityscapes"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    names = [*SOURCES, *_ALIASES]
    parser.add_argument("name", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--root", type=Path, metavar="FOLDER", help="where it is put")
    parser.add_argument(
        "--archive",
        action="append",
        default=[],
        metavar="FILE",
        help="an archive that is here already, called as the original; may be given several times",
    )
    parser.add_argument("--mirror", metavar="URL", help="address of a folder to try first")
    parser.add_argument(
        "--no-verify", action="store_true", help="take --archive files with other checksums"
    )


def run(options: argparse.Namespace) -> None:
    """Prepare it, and say where it is."""
    name = _ALIASES.get(options.name, options.name)
    source = SOURCES[name]
    folder = options.root or default_folder(source.folder)
    print(
        f"{name}: {', '.join(archive.name for archive in source.archives)} into {folder} (--root "
        f"or GLUONVISION_DATA changes it)\nterms: {source.terms}"
    )
    folder = prepare(name, folder, options.archive, options.mirror, not options.no_verify)
    print(f"{name}: ready in {folder}")
    if (folder / "downloads").is_dir():
        print(f"the archives in {folder / 'downloads'} are no longer needed")
