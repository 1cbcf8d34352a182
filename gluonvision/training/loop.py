"""Training: the loop, plain to read."""

import contextlib
import dataclasses
import itertools
import time
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gluonvision import backend
from gluonvision.evaluation.whole_images import evaluate
from gluonvision.plots.prediction_grid import draw_predictions
from gluonvision.prediction.inference import predict
from gluonvision.runs import factory
from gluonvision.runs.artifacts import BEST, WEIGHTS
from gluonvision.runs.checkpoint import read_checkpoint
from gluonvision.runs.config import TrainConfig
from gluonvision.runs.run_folder import RunFolder
from gluonvision.runs.run_log import RunLog, read_log
from gluonvision.training.lr_schedule import poly
from gluonvision.training.stopping import STOPPING, Interrupted, stop_requests
from gluonvision.utils.progress import progress_bar

# Losses are read so many steps late, that a GPU always has a step to do.
_READ_LATE = 2
_SHOWN_IMAGES = 4


def train(config: TrainConfig) -> Path:
    """Train a model as ``config`` says, on all its devices; returns the file of its weights.

    Shows the loss as it goes, and scores on whole validation images after every epoch. The run's
    folder has the weights, states to go on from, logs and pictures.

    Raises ValueError and OSError for what is wrong with configuration, data or disk,
    FloatingPointError for a loss that is not finite, ``Interrupted`` after SIGINT or SIGTERM, and
    ``WorkerError`` where one of several processes failed.
    """
    num_devices = backend.device_count(config.ngpus, config.no_cuda)
    folder = RunFolder(config)
    if config.resume == "auto" and folder.start_checkpoint() is None:
        # Stopped before its first state, it begins where it began.
        config = dataclasses.replace(config, resume=folder.first_weights() or "auto")
        folder = RunFolder(config)
    num_images = factory.check(config, num_devices)
    with folder.reserved() if backend.rank() == 0 else contextlib.nullcontext():
        if backend.rank() == 0:
            folder.prepare(num_images)
        stopped_by, step = backend.launch(_train, config, num_devices)
    if stopped_by:
        raise Interrupted(stopped_by, step, folder.states)
    return folder.path / WEIGHTS


def _train(config: TrainConfig) -> tuple[int, int]:
    backend.seed(config.seed)
    run = _Run(config)
    with stop_requests() as stop, contextlib.closing(run):
        return run.train(stop), run.progress.step


@dataclasses.dataclass
class _Progress:
    """How far a run is. ``step``: updates done; ``validated``: the step validated last."""

    step: int = 0
    validated: int = 0
    best_iou: float = -1.0
    best_step: int = -1
    loss_sum: float = 0.0  # of the steps since the last validation


class _Sent(NamedTuple):
    """A step whose loss has not been read yet."""

    step: int
    rate: float
    speed: float  # images a second, loading included
    loss: Any


class _Run:
    """One process's part of a run; the first process writes what all have done."""

    def __init__(self, config: TrainConfig):
        self.config, self.folder = config, RunFolder(config)
        self.devices = backend.devices(config.ngpus, config.no_cuda)
        training, self.validation = factory.training_data(config), factory.validation_data(config)
        self.batches = factory.training_batches(config, training)
        self.net = factory.build_model(config, self.devices)
        self.dtype = backend.placement(self.net)[1]
        self.loss = factory.build_loss(config, training)
        self.trainer = backend.Trainer(self.net, self.loss, config.trainer_options())
        self.is_first = backend.rank() == 0
        self.total = config.epochs * len(self.batches)
        self.progress = self._restored()
        self._sent: deque[_Sent] = deque()
        self._time = time.monotonic()
        self.bar = progress_bar(
            total=self.total,
            initial=self.progress.step,
            unit="step",
            desc=f"training {config.model}",
            disable=not self.is_first,
        )
        self.log = self._open_log() if self.is_first else None
        self._say_what_begins(training)

    def _say_what_begins(self, training):
        state, weights = self.folder.start_checkpoint(), factory.start_weights(self.config)
        begun = f"from {state or weights}" if state or weights else "anew"
        devices = backend.world_size() * len(self.devices)
        if not self.is_first:
            return
        self.bar.write(
            f"{self.folder.path}: {begun}, at step {self.progress.step} of {self.total}; "
            f"{len(training)} images for training and {len(self.validation)} for validation, "
            f"{len(self.validation.classes)} classes; {devices} x {self.devices[0]}"
        )

    def train(self, stop) -> int:
        """Train to the end, or to the step at which a signal asked to stop: its number, or 0."""
        while True:
            if self._awaits_validation():
                self._validate()
            if self.progress.step == self.total:
                return 0
            self.batches.set_epoch(self.epoch)
            for images, labels in self.batches:
                stopped_by = self._step(images, labels, stop)
                if stopped_by or self._at_epoch_end() or self._is_due():
                    self._save()
                if stopped_by:
                    return stopped_by

    @property
    def epoch(self) -> int:
        """The number of the epoch of the next step, from 0."""
        return self.progress.step // len(self.batches)

    def close(self):
        """Close bar and log."""
        self.bar.close()
        if self.log:
            self.log.close()

    def _at_epoch_end(self) -> bool:
        return self.progress.step % len(self.batches) == 0

    def _awaits_validation(self) -> bool:
        is_last = self.progress.step == self.total
        is_turn = is_last or self.epoch % self.config.val_every == 0
        return self._at_epoch_end() and is_turn and self.progress.validated < self.progress.step

    def _is_due(self) -> bool:
        every = self.config.save_every
        return every > 0 and self.progress.step % every == 0

    def _step(self, images, labels, stop) -> int:
        """One update by one batch; returns the number of a signal that a process has had, or 0."""
        step = self.progress.step
        micro_batches = self._micro_batches(images, labels)
        counts = [self.loss.num_valid(label) for _, label in micro_batches]
        asked = [float(stop.number == number) for number in STOPPING]
        total, *asked = backend.all_reduce_sum([sum(counts), *asked])
        # What dropout draws depends on seed, step and process alone: a state need not hold it.
        backend.reseed(self.config.seed, step, backend.rank())
        rate = poly(step, self.total, self.config.lr, warmup=self.config.warmup)
        loss_weights = [count / total if total else 0.0 for count in counts]
        loss = self.trainer.update(self._on_devices(micro_batches), loss_weights, rate)
        now = time.monotonic()
        samples = len(images) * backend.world_size()
        speed, self._time = samples / (now - self._time), now
        self._sent.append(_Sent(step, rate, speed, loss))
        self.progress.step += 1
        self._read_losses(late=_READ_LATE)
        return next((number for number, times in zip(STOPPING, asked) if times), 0)

    def _micro_batches(self, images, labels):
        number = len(self.devices) * self.config.accumulate
        micro_batches = zip(np.array_split(images, number), np.array_split(labels, number))
        return [(image, label) for image, label in micro_batches if len(image)]

    def _on_devices(self, micro_batches):
        for (images, labels), device in zip(micro_batches, itertools.cycle(self.devices)):
            yield backend.preprocess(images, device, self.dtype), backend.array(labels, device)

    def _read_losses(self, late: int = 0):
        """Read and note all losses but the last ``late``; FloatingPointError for one not finite."""
        while len(self._sent) > late:
            sent = self._sent.popleft()
            value = float(backend.all_reduce_sum(float(backend.as_numpy(sent.loss).sum())))
            if not np.isfinite(value):
                raise self._stopped(sent.step, f"the loss of step {sent.step} is {value}")
            self.progress.loss_sum += value
            self._note(sent.step, sent.rate, sent.speed, value)

    def _note(self, step, rate, speed, loss):
        if self.log:
            self.log.step(step, step // len(self.batches), loss, rate, speed)
        shown = {"epoch": step // len(self.batches) + 1, "loss": f"{loss:.3f}", "lr": f"{rate:.2g}"}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()

    def _stopped(self, step: int, what: str) -> FloatingPointError:
        rate = poly(step, self.total, self.config.lr, warmup=self.config.warmup)
        files = "\n  ".join(map(str, self.batches.files(*divmod(step, len(self.batches)))))
        return FloatingPointError(
            f"{what}, at learning rate {rate:.3g}; training stops, and "
            f"{self.folder.last_checkpoint()}. A smaller --lr, a --warmup or --clip-norm may "
            "help, or something is wrong with a file "
            f"of the batch:\n  {files}"
        )

    def _save(self):
        """Save a state and the weights; nothing where a loss is not finite."""
        self._read_losses()
        if not self.is_first:
            return
        weights = backend.get_parameters(self.net)
        broken = [name for name, value in weights.items() if not np.isfinite(value).all()]
        if broken:
            step = self.progress.step - 1
            raise self._stopped(step, f"{len(broken)} weights are not finite after step {step}")
        arrays = {f"net/{name}": value for name, value in weights.items()}
        arrays |= {f"trainer/{name}": value for name, value in self.trainer.state().items()}
        progress = self.progress
        header = {
            "progress": dataclasses.asdict(progress),
            "batches": self.batches.state_dict(),
        }
        self.folder.save_checkpoint(progress.step, arrays, header, progress.best_step)
        self.folder.save_weights(self.trainer.averaged_parameters() or weights)
        self._time = time.monotonic()

    def _restored(self) -> _Progress:
        """The progress to go on from, everything else being put where it was then."""
        path = self.folder.start_checkpoint()
        if path is None:
            first = self.config.start_epoch * len(self.batches)
            return _Progress(step=first, validated=first)
        arrays, header = read_checkpoint(path)
        backend.set_parameters(self.net, _below("net/", arrays), source=str(path))
        self.trainer.load_state(_below("trainer/", arrays))
        self.batches.load_state_dict(header["batches"])
        progress = _Progress(**header["progress"])
        if not (self.folder.path / BEST).is_file():
            # Gone back from, or another run's: the best is that of what comes.
            progress.best_iou, progress.best_step = -1.0, -1
        return progress

    def _validate(self):
        progress = self.progress
        with self._averaged():
            scores = evaluate(
                self.net, self.validation, self.config.test_batch_size, self.config.workers
            )
            is_best = scores.mean_iou > progress.best_iou
            if is_best:
                progress.best_iou, progress.best_step = scores.mean_iou, progress.step
            if self.is_first:
                if is_best:
                    self.folder.save_weights(backend.get_parameters(self.net), BEST)
                self._report(scores)
        progress.validated, progress.loss_sum = progress.step, 0.0
        self._save()

    @contextlib.contextmanager
    def _averaged(self):
        """The net with the running average of its weights, where one is kept."""
        average = self.trainer.averaged_parameters()
        current = backend.get_parameters(self.net) if average else {}
        backend.set_parameters(self.net, average, allow_missing=True)
        try:
            yield
        finally:
            backend.set_parameters(self.net, current, allow_missing=True)

    def _report(self, scores):
        # Here, that whoever only predicts does not wait for matplotlib.
        from gluonvision.plots.training_curves import draw_curves

        epoch, loss = (
            self.epoch - 1,
            self.progress.loss_sum / (self.progress.step - self.progress.validated),
        )
        self.log.epoch(epoch, self.progress.step, scores, loss)
        self.bar.write(
            f"epoch {epoch + 1}: loss {loss:.3f}; {self.config.val_split}: mIoU "
            f"{scores.mean_iou:.3f}, pixel accuracy {scores.pixel_accuracy:.3f}"
        )
        title = "/".join(self.folder.path.parts[-3:])
        draw_curves(read_log(self.log.path), self.folder.path / "curves.png", title)
        sheet = self.folder.path / "predictions.png"
        number = min(_SHOWN_IMAGES, len(self.validation))
        chosen = [i * len(self.validation) // number for i in range(number)]
        pairs = [self.validation[i] for i in chosen]
        samples = [(image, label, predict(self.net, image)) for image, label in pairs]
        draw_predictions(samples, self.validation.meta, sheet)
        self.log.predictions(self.progress.step, sheet)

    def _open_log(self):
        names = self.validation.classes
        return RunLog(self.folder.path, names, self.progress.step, self.config.tensorboard)


def _below(prefix: str, arrays: dict) -> dict:
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
