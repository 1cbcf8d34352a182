"""Report a training run: progress bar, log, curves and example predictions."""

from typing import Any

from gluonvision import backend
from gluonvision.metrics import SegmentationScores
from gluonvision.plots.prediction_grid import draw_predictions
from gluonvision.prediction.inference import predict
from gluonvision.runs.run_log import RunLog, read_log
from gluonvision.training.job import TrainingJob
from gluonvision.utils.progress import progress_bar

_NUM_EXAMPLES = 4


class Reporter:
    """Reports the progress of a run; only the first process reports.

    Args:
        job: the run.
        step: number of steps already completed.
        num_steps: number of steps of the whole run.
        steps_per_epoch: number of steps in an epoch.
    """

    def __init__(self, job: TrainingJob, step: int, num_steps: int, steps_per_epoch: int):
        config = job.config
        self.first_step, self.num_steps = step, num_steps
        self.job, self.folder, self.steps_per_epoch = job, config.folder, steps_per_epoch
        is_first = backend.rank() == 0
        self.bar = progress_bar(
            total=num_steps,
            initial=step,
            unit="step",
            desc=f"training {config.model}",
            disable=not is_first,
        )
        self.log: RunLog | None = None
        if is_first:
            classes = job.validation.classes
            self.log = RunLog(self.folder, classes, step, config.tensorboard)

    def start(self, devices: list) -> None:
        """Print how the run starts."""
        job = self.job
        num_devices = backend.world_size() * len(devices)
        if self.log:
            self.bar.write(
                f"{self.folder}: starts {job.start}, at step {self.first_step} of "
                f"{self.num_steps}; {len(job.training)} images for training and "
                f"{len(job.validation)} for validation, {len(job.validation.classes)} classes; "
                f"{num_devices} x {devices[0]}"
            )

    def step(self, step: int, loss: float, learning_rate: float, images_per_second: float) -> None:
        """Record a step."""
        epoch = step // self.steps_per_epoch
        if self.log:
            self.log.step(step, epoch, loss, learning_rate, images_per_second)
        values = {"epoch": epoch + 1, "loss": f"{loss:.3f}", "lr": f"{learning_rate:.2g}"}
        self.bar.set_postfix(values, refresh=False)
        self.bar.update()

    def validation(self, net: Any, step: int, scores: SegmentationScores, loss: float) -> None:
        """Record a validation after ``step`` steps; ``loss`` is the mean since the last one."""
        if self.log is None:
            return
        # Imported here so that programs that only predict do not wait for matplotlib.
        from gluonvision.plots.training_curves import draw_curves

        epoch = step // self.steps_per_epoch - 1
        self.log.epoch(epoch, step, scores, loss)
        self.bar.write(
            f"epoch {epoch + 1}: loss {loss:.3f}; {self.job.config.val_split}: mIoU "
            f"{scores.mean_iou:.3f}, pixel accuracy {scores.pixel_accuracy:.3f}"
        )
        title = "/".join(self.folder.parts[-3:])
        draw_curves(read_log(self.log.path), self.folder / "curves.png", title)
        self._draw_examples(net, step)

    def _draw_examples(self, net: Any, step: int) -> None:
        data, path = self.job.validation, self.folder / "predictions.png"
        number = min(_NUM_EXAMPLES, len(data))
        pairs = [data[i * len(data) // number] for i in range(number)]
        samples = [(image, label, predict(net, image)) for image, label in pairs]
        draw_predictions(samples, data.meta, path)
        if self.log:
            self.log.predictions(step, path)

    def close(self) -> None:
        """Close the progress bar and the log."""
        self.bar.close()
        if self.log:
            self.log.close()
