"""The web page of ``python -m gluonvision serve``: pictures in, masks out, on this machine.

``app.py`` has the addresses, ``guard.py`` what is refused before them, ``uploads.py`` how bytes
become a picture, ``models.py`` which models there are, ``queue.py`` who waits for whom,
``results.py`` what is answered, ``server.py`` how it is started. ``static`` is the page itself:
plain files, without a build.
"""

from gluonvision.web.app import create_app
from gluonvision.web.limits import MEGA, Limits
from gluonvision.web.models import (
    Models,
    Offer,
    models_on_disk,
    offer_of,
    offer_of_run,
    offers_of_runs,
)
from gluonvision.web.server import serve

__all__ = [
    "MEGA",
    "Limits",
    "Models",
    "Offer",
    "create_app",
    "models_on_disk",
    "offer_of",
    "offer_of_run",
    "offers_of_runs",
    "serve",
]
