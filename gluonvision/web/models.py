"""The models that users can choose, and the few of them in memory."""

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
from gluonvision.web.errors import RequestError


@dataclass(frozen=True)
class ModelEntry:
    """A model that users can choose.

    Attributes:
        name: the name on the page and in requests.
        source: what it is loaded from: the name of a published model, or a weights file.
        about: one line for the user.
        classes: the class names; empty if they are unknown before the model is loaded.
    """

    name: str
    source: str | Path
    about: str
    classes: tuple[str, ...] = ()


class Models:
    """Models by name, loaded on first use; over the limit, the least recently used is unloaded.

    Args:
        entries: the models; the first is the default.
        load: returns a predictor for the source of an entry.
        keep: number of models in memory.

    Raises:
        ValueError: if there are no entries, a name occurs twice, or ``keep`` is below 1.
    """

    def __init__(
        self, entries: Iterable[ModelEntry], load: Callable[[str | Path], Any], keep: int = 2
    ) -> None:
        listed = list(entries)
        self.entries = {entry.name: entry for entry in listed}
        if len(self.entries) != len(listed) or not listed:
            names = ", ".join(entry.name for entry in listed) or "none"
            raise ValueError(f"models: got {names}, expected at least one, each name once")
        if keep < 1:
            raise ValueError(f"keep is {keep}: expected 1 or more models in memory")
        self._load, self._keep = load, keep
        self._loaded: OrderedDict[str, Any] = OrderedDict()

    @property
    def default(self) -> str:
        """The name of the default model."""
        return next(iter(self.entries))

    def find(self, name: str | None) -> str:
        """Return the name, or the default for None; raise RequestError (404) if it is unknown."""
        if name is None:
            return self.default
        if name not in self.entries:
            raise RequestError(
                404, f"There is no model of this name. Choose one of: {', '.join(self.entries)}."
            )
        return name

    def get(self, name: str) -> Any:
        """Return the predictor of a model; call this from one thread at a time."""
        if name not in self._loaded:
            # Unload before loading, so that memory never holds one model more.
            while len(self._loaded) >= self._keep:
                self._loaded.popitem(last=False)
            self._loaded[name] = self._load(self.entries[name].source)
        self._loaded.move_to_end(name)
        return self._loaded[name]


def models_on_disk() -> list[ModelEntry]:
    """List the published models with weights on this machine; the package's own come first."""
    packaged = [name for name in SEGMENTATION if _has_file(name, store.OWN_FILES)]
    downloaded = [name for name in SEGMENTATION if _has_file(name, store.weights_folder())]
    return [entry_of_model(name) for name in dict.fromkeys(packaged + sorted(downloaded))]


def entry_of_model(name: str) -> ModelEntry:
    """Return the entry of a published model.

    Raises:
        ValueError: if the name is unknown; the message lists similar names.
    """
    first, *_ = store.get_weights(name)
    score = first.score
    about = f"{score.metric} {score.value:g} on {score.data}" if score else "no published score"
    classes = get_meta(dataset_of(name)).classes
    return ModelEntry(name, name, f"{about}; licence {first.licence}", classes)


def entries_of_runs(files: Iterable[Path]) -> list[ModelEntry]:
    """Return the entries of runs, named by the shortest unique folder names."""
    files = list(files)
    for num_folders in (1, 2, 3):  # CHECKNAME, MODEL/CHECKNAME, DATASET/MODEL/CHECKNAME
        entries = [entry_of_run(file, num_folders) for file in files]
        if len({entry.name for entry in entries}) == len(files):
            break
    return entries


def entry_of_run(file: Path, num_folders: int = 1) -> ModelEntry:
    """Return the entry of a run.

    Args:
        file: the weights file or the folder of the run.
        num_folders: the number of parent folders in the name.

    Raises:
        FileNotFoundError: if the weights or the configuration next to them do not exist.
    """
    file = weights_of(file) or file
    for needed in (file, file.with_name(CONFIG)):
        if not needed.is_file():
            raise FileNotFoundError(
                f"{needed}: no such file; --resume expects the weights of a run, such as "
                f"runs/pascal_aug/fcn/mycheckpoint/checkpoint.params, with {CONFIG} in the same "
                "folder"
            )
    run = "/".join(file.resolve().parent.parts[-num_folders:])
    name = run if file.name == WEIGHTS else f"{run}/{file.stem}"
    return ModelEntry(name, file, f"your own: {file}")


def _has_file(name: str, folder: Path) -> bool:
    return any((folder / each.file).is_file() for each in SEGMENTATION[name])
