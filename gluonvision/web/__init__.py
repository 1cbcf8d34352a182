"""The web page of ``python -m gluonvision serve``: drop images on it and see their masks.

``app`` has the routes, ``guard`` checks hosts and origins, ``uploads`` decodes images, ``models``
lists and loads the models, ``queue`` runs one image at a time, ``results`` encodes the answers and
``server`` starts it all. The page is in ``static``: plain files without a build step.
"""

from gluonvision.web.app import create_app
from gluonvision.web.limits import MEGA, Limits
from gluonvision.web.models import (
    ModelEntry,
    Models,
    entries_of_runs,
    entry_of_model,
    entry_of_run,
    models_on_disk,
)
from gluonvision.web.server import serve

__all__ = [
    "MEGA",
    "Limits",
    "ModelEntry",
    "Models",
    "create_app",
    "entries_of_runs",
    "entry_of_model",
    "entry_of_run",
    "models_on_disk",
    "serve",
]
