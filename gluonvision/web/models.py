"""The models that are offered, and the few of them that are held in memory."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gluonvision.data.meta import get_meta
from gluonvision.model_zoo import dataset_of
from gluonvision.model_zoo.weights import store
from gluonvision.model_zoo.weights.table import SEGMENTATION
from gluonvision.runs.artifacts import CONFIG, WEIGHTS, weights_of
from gluonvision.web.errors import Refused


@dataclass(frozen=True)
class Offer:
    """A model that can be chosen: by ``name``, loaded from ``source`` (a name or a file).

    ``about``: a line for whoever chooses; ``classes``: their names, where they are known before it
    is loaded.
    """

    name: str
    source: str | Path
    about: str
    classes: tuple[str, ...] = ()


class Models:
    """Models by name, loaded when first asked for; the ``keep`` used last stay in memory.

    ``offers``: the first is the default. ``load``: from an offer's source to a predictor.
    Raises ValueError for no offers, two of one name, or ``keep`` below 1.
    """

    def __init__(self, offers: Iterable[Offer], load: Callable[[str | Path], Any], keep: int = 2):
        listed = list(offers)
        self.offers = {offer.name: offer for offer in listed}
        if len(self.offers) != len(listed) or not listed:
            names = ", ".join(offer.name for offer in listed) or "none"
            raise ValueError(f"models {names}: expected at least one, each name once")
        if keep < 1:
            raise ValueError(f"keep {keep}: expected 1 or more models to hold in memory")
        self._load, self._keep = load, keep
        self._loaded: OrderedDict[str, Any] = OrderedDict()

    @property
    def default(self) -> str:
        """The name of the model that is taken where none is named."""
        return next(iter(self.offers))

    def find(self, name: str | None) -> str:
        """The name itself, or the default for None; Refused (404) where none is called so."""
        if name is None:
            return self.default
        if name not in self.offers:
            raise Refused(
                404, f"No model is called so here. Choose one of: {', '.join(self.offers)}."
            )
        return name

    def get(self, name: str) -> Any:
        """The predictor of that name; to be called by one thread at a time."""
        if name not in self._loaded:
            while len(self._loaded) >= self._keep:  # room first: two at once are not held
                self._loaded.popitem(last=False)
            self._loaded[name] = self._load(self.offers[name].source)
        self._loaded.move_to_end(name)
        return self._loaded[name]


def models_on_disk() -> list[Offer]:
    """The published models whose weights are here: those that come with the package first."""
    own = [name for name in SEGMENTATION if _has_file(name, store.OWN_FILES)]
    here = [name for name in SEGMENTATION if _has_file(name, store.weights_folder())]
    return [offer_of(name) for name in dict.fromkeys(own + sorted(here))]


def offer_of(name: str) -> Offer:
    """A published model; ValueError, listing close ones, where none is called so."""
    first, *_ = store.get_weights(name)
    score = first.score
    about = f"{score.metric} {score.value:g} on {score.data}" if score else "no published score"
    classes = get_meta(dataset_of(name)).classes
    return Offer(name, name, f"{about}; licence {first.licence}", classes)


def offers_of_runs(files: Iterable[Path]) -> list[Offer]:
    """Runs, each named as ``offer_of_run`` does, by the least folders that tell all apart."""
    files = list(files)
    for folders in (1, 2, 3):  # CHECKNAME, MODEL/CHECKNAME, DATASET/MODEL/CHECKNAME
        offers = [offer_of_run(file, folders) for file in files]
        if len({offer.name for offer in offers}) == len(files):
            break
    return offers


def offer_of_run(file: Path, folders: int = 1) -> Offer:
    """The weights of a run, by their file or their folder, named after the last ``folders``.

    Raises FileNotFoundError where no weights, or no configuration beside them, are there.
    """
    file = weights_of(file) or file
    for needed in (file, file.with_name(CONFIG)):
        if not needed.is_file():
            raise FileNotFoundError(
                f"{needed}: no such file; --resume names a run's weights, such as "
                "runs/pascal_aug/fcn/mycheckpoint/checkpoint.params, which lie beside its "
                f"{CONFIG}"
            )
    run = "/".join(file.resolve().parent.parts[-folders:])
    return Offer(run if file.name == WEIGHTS else f"{run}/{file.stem}", file, f"your own: {file}")


def _has_file(name: str, folder: Path) -> bool:
    return any((folder / each.file).is_file() for each in SEGMENTATION[name])
