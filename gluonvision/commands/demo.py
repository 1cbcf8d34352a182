"""Segment images, folders, videos or a webcam, and write palette masks and overlays.

Results are written as soon as they are ready. Existing results are skipped, so an interrupted
command can be repeated. The exit code is 1 if any file could not be segmented; the other files
are segmented nevertheless.
"""

import argparse
import importlib.util
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from gluonvision.backend.precisions import INFERENCE_PRECISIONS
from gluonvision.commands.shared_options import add_inference, add_model, add_no_cuda
from gluonvision.data.meta import get_meta
from gluonvision.model_zoo import dataset_of, get_model
from gluonvision.prediction import files
from gluonvision.prediction.files import Source
from gluonvision.prediction.inference import Inference
from gluonvision.prediction.large_images import predict_large
from gluonvision.prediction.large_read import image_height_width
from gluonvision.prediction.large_tiff import TIFF_SUFFIXES
from gluonvision.prediction.large_windows import is_large
from gluonvision.prediction.predictor import Predictor, device_named
from gluonvision.prediction.video import Frames, OverlayVideo
from gluonvision.runs.artifacts import weights_of
from gluonvision.utils.hashing import file_digest

DEFAULT_MODEL = "fcn_resnet101_voc"
# Longest side of typical training images, and the side above which downscaling helps; in pixels.
_USUAL_SIDE, _WIDE_SIDE = 1024, 2048

Shares = list[tuple[str, float]]


class _Result(NamedTuple):
    shares: Shares  # class names with their fractions (0-1)
    longest_side: int = 0  # of the image, in pixels; 0 for videos
    seconds: float = 0.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="images, videos, folders (searched recursively) or patterns such as '*.jpg'",
    )
    add("--webcam", type=int, metavar="N", help="segment webcam N (0 is the first) until Ctrl-C")
    add("--frames", type=int, metavar="N", help="stop a video or a webcam after N frames")
    add_model(parser, DEFAULT_MODEL)
    add(
        "--dataset",
        metavar="NAME",
        help="data set that names and colours the classes (default: the model's)",
    )
    add(
        "--output-folder",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        help="folder for the results",
    )
    add("--overwrite", action="store_true", help="replace existing results")
    add("--alpha", type=float, default=0.5, help="opacity of the colours on overlays, 0 to 1")
    add_inference(parser)
    add(
        "--large",
        action="store_true",
        help="read and write images of any size block by block, in windows of 1024 pixels unless "
        "--window is given (default: only images with more than 16 million pixels)",
    )
    add("--device", help="cpu, gpu or gpu:N (default: the first GPU, or the CPU without one)")
    add_no_cuda(parser)
    add(
        "--precision",
        default="auto",
        choices=INFERENCE_PRECISIONS,
        help="arithmetic of the net; docs/prediction.md compares speed and accuracy",
    )


def run(options: argparse.Namespace) -> int:
    """Segment the inputs, write the results and print a summary; return the exit code."""
    if not options.inputs and options.webcam is None:
        raise ValueError("no input: name an image, a folder or a video, or use --webcam 0")
    if options.output_folder.is_file():
        raise NotADirectoryError(
            f"--output-folder {options.output_folder} is a file; name a folder (it is created if "
            "needed)"
        )
    sources, problems = files.find_sources(options.inputs, options.output_folder)
    # SIGTERM must not leave incomplete files either: handle it like Ctrl-C.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.webcam is not None:
            _segment_video(_predictor(options), options.webcam, _webcam_result(options), options)
        if sources:
            problems += _segment_files(sources, options)
    except KeyboardInterrupt:
        print("stopped: finished results are kept; repeat the command to resume", file=sys.stderr)
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return int(bool(problems))


def _predictor(options: argparse.Namespace) -> Predictor:
    settings: dict[str, Any] = {
        "inference": Inference(options.scales, options.flip, options.window),
        "device": device_named("cpu" if options.no_cuda else options.device),
        "precision": options.precision,
    }
    if options.weights:
        if options.resume:
            raise ValueError("--weights only works with --model; --resume has its own weights")
        net = get_model(options.model, pretrained=options.weights)
        predictor = Predictor(net, dataset_of(options.model), **settings)
    else:
        predictor = Predictor.load(options.resume or options.model, **settings)
    if options.dataset:
        predictor = predictor.with_classes(get_meta(options.dataset))
    return predictor


def _segment_files(sources: Sequence[Source], options: argparse.Namespace) -> list[str]:
    """Segment files, write and print the results; return the error messages."""
    note, predictor = _note(options), _predictor(options)
    problems: list[str] = []
    results: list[_Result] = []
    num_skipped = 0
    for source in tqdm(sources, unit="file", disable=True if len(sources) < 2 else None):
        try:
            if not options.overwrite and files.has_results(source, note):
                num_skipped += 1
                continue
            start = time.monotonic()
            result = _segment(predictor, source, note, options)
            results.append(result._replace(seconds=time.monotonic() - start))
        except (ValueError, OSError) as error:
            problems.append(str(error))
    if num_skipped:
        print(
            f"{_counted(num_skipped, 'file')} skipped: results exist; use --overwrite to replace "
            "them"
        )
    if results:
        _report(sources, results, options)
    return problems


def _segment(
    predictor: Predictor, source: Source, note: str, options: argparse.Namespace
) -> _Result:
    """Segment a file and write its results."""
    if source.is_video:
        result = source.result("overlay", ".mp4")
        return _Result(_segment_video(predictor, source.path, result, options))
    height, width = _height_width(source.path)
    if options.large or is_large(height, width):
        shares = _segment_large(predictor, source, note, options)
    else:
        prediction = predictor(source.path)
        files.save_results(source, prediction, note, options.alpha)
        shares = prediction.shares()
    return _Result(shares, max(height, width))


def _height_width(path: Path) -> tuple[int, int]:
    """The size of an image; (0, 0) if it cannot be read, which the decoder explains better."""
    try:
        return image_height_width(path)
    except (OSError, ValueError):
        return 0, 0


def _segment_large(
    predictor: Predictor, source: Source, note: str, options: argparse.Namespace
) -> Shares:
    is_tiff = source.path.suffix.lower() in TIFF_SUFFIXES and importlib.util.find_spec("tifffile")
    mask = source.result("mask", ".tif" if is_tiff else ".png")
    mask.parent.mkdir(parents=True, exist_ok=True)
    prediction = predict_large(predictor, source.path, mask, options.large, note)
    files.save_png(prediction.overlay(options.alpha), source.result("overlay"), note)
    print(f"mask: {mask}, predicted in windows")
    return prediction.shares()


def _segment_video(
    predictor: Predictor, source: Path | int, path: Path, options: argparse.Namespace
) -> Shares:
    frames, shares, keep = Frames(source), [], False
    video = OverlayVideo(path, frames.fps)
    total = frames.num_frames
    try:
        for frame in tqdm(frames, total=total, unit="frame", desc=path.name, disable=None):
            prediction = predictor(frame)
            video.add(prediction, options.alpha)
            shares.append(prediction.shares())
            if len(shares) == options.frames:
                break
        keep = True
    except KeyboardInterrupt:
        keep = options.webcam is not None  # Ctrl-C is the normal end of a webcam's video
        if not keep:
            raise
    finally:
        frames.close()
        video.close(keep)
    print(f"{path}: {_counted(len(shares), 'frame')}")
    return files.mean_shares(shares)


def _webcam_result(options: argparse.Namespace) -> Path:
    path = options.output_folder / f"webcam{options.webcam}_overlay.mp4"
    if path.exists() and not options.overwrite:
        raise FileExistsError(
            f"{path} already exists; use --overwrite to replace it, or another --output-folder"
        )
    return path


def _note(options: argparse.Namespace) -> str:
    """Describe the settings that results depend on."""
    model = options.model
    weights = weights_of(options.resume) if options.resume else options.weights
    if weights and Path(weights).is_file():
        model = file_digest(weights)[:12]  # the same for a copy of the file
    scales = " ".join(map(str, options.scales)) + (" flip" if options.flip else "")
    window = f", window {options.window}" if options.window else ""
    classes = f", classes of {options.dataset}" if options.dataset else ""
    return f"{files.NOTE_PREFIX}{model}, {options.precision}, scales {scales}{window}{classes}"


def _report(
    sources: Sequence[Source], results: Sequence[_Result], options: argparse.Namespace
) -> None:
    if len(sources) == 1:
        source = sources[0]
        if not source.is_video:
            print(f"mask: {source.result('mask')}\noverlay: {source.result('overlay')}")
        print(f"time: {results[0].seconds:.2f} s")
    else:
        mean = sum(result.seconds for result in results) / len(results)
        count = _counted(len(results), "file")
        print(f"{count} segmented into {options.output_folder}, {mean:.2f} s per file")
    print("found:")
    for name, share in files.mean_shares(result.shares for result in results):
        percentage = f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"
        print(f"  {name:<14}{percentage:>8}")
    print(_next_step(max(result.longest_side for result in results), options))


def _next_step(longest_side: int, options: argparse.Namespace) -> str:
    if longest_side >= _WIDE_SIDE and options.scales == [1.0]:
        return (
            f"next: --scales {_USUAL_SIDE / longest_side:.2g} resizes large images to about "
            f"{_USUAL_SIDE} pixels: faster, and more accurate if the model was trained at that size"
        )
    if options.resume is None and options.model == DEFAULT_MODEL:
        return (
            "next: choose another model with --model, or train one on your own classes "
            "(docs/training.md)"
        )
    return "next: --scales 0.75 1 1.25 --flip is slower and often more accurate"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
