"""Sphinx configuration: python -m sphinx -W docs docs/_build (part of make docs)."""

import os
import sys
from pathlib import Path

os.environ.setdefault("GLUONVISION_BACKEND", "torch")
DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

import reference  # noqa: E402
import zoo  # noqa: E402

from gluonvision import __version__  # noqa: E402

project, author, release = "gluonvision", "the gluonvision authors", __version__
project_copyright = f"{author}, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "_generated/zoo.md"]

html_theme = "furo"
html_title = f"gluonvision {release}"
html_static_path = ["_static"]
html_css_files = ["gluonvision.css"]

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

default_role = "literal"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
nitpicky = True
# Links to other projects need the network.
nitpick_ignore_regex = [("py:.*", r"(?!gluonvision).*")]
# Gluon documents this class itself.
nitpick_ignore = [("py:class", "gluonvision.backend.torch.block.ParameterDict")]

GENERATED = DOCS / "_generated"
reference.write_pages(GENERATED / "reference")
reference.write_if_new(GENERATED / "zoo.md", zoo.tables())
