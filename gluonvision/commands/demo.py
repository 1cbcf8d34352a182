"""Segment images, folders, videos or a webcam: palette masks, and overlays beside what was found.

Results are written as they come. What is there already is passed over, so that a command that was
interrupted can be given again. Ends with 1 where a file could not be segmented; the others are.
"""

import argparse
import importlib.util
import signal
import sys
import time
from pathlib import Path

from tqdm import tqdm

from gluonvision.backend.precisions import INFERENCE_PRECISIONS
from gluonvision.data.meta import get_meta
from gluonvision.model_zoo import dataset_of, get_model
from gluonvision.prediction import files as files
from gluonvision.prediction.inference import Inference
from gluonvision.prediction.large_images import predict_large
from gluonvision.prediction.large_read import image_size
from gluonvision.prediction.large_windows import LARGE
from gluonvision.prediction.large_write import TIFF
from gluonvision.prediction.predictor import Predictor, device_named
from gluonvision.prediction.video import Frames, OverlayVideo
from gluonvision.runs.artifacts import weights_of
from gluonvision.utils.hashing import file_digest

DEFAULT_MODEL = "fcn_resnet101_voc"
# What models were trained on is about so long, in pixels; from the other on it makes a difference.
_USUAL, _WIDE = 1024, 2048


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("inputs", nargs="*", metavar="INPUT", help="images, videos, folders, patterns ('*.jpg')")
    add("--webcam", type=int, metavar="N", help="the webcam of this number, until Ctrl-C")
    add("--frames", type=int, metavar="N", help="stop a video or the webcam after so many frames")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--model", default=DEFAULT_MODEL, help="a published model")
    source.add_argument("--resume", metavar="FILE", help="weights, or the folder, of a run instead")
    add("--weights", metavar="FILE", help="weights for --model, of any kind (default: its own)")
    add("--dataset", help="names and colours of classes (default: those of the model)")
    add("--output-folder", type=Path, default=Path(), metavar="FOLDER", help="where results go")
    add("--overwrite", action="store_true", help="make anew what is there already")
    add("--scales", type=float, nargs="+", default=[1.0], metavar="S", help="such as 0.75 1 1.25")
    add("--flip", action="store_true", help="also ask about the mirror image")
    add("--window", type=int, metavar="PIXELS", help="ask about square windows of this side")
    add("--large", action="store_true", help="read and write by parts, whatever the image's size")
    add("--alpha", type=float, default=0.5, help="how strong colours are on overlays, 0 to 1")
    add("--device", help="cpu, gpu or gpu:N (default: the first GPU, else the CPU)")
    add("--no-cuda", action="store_true", help="the CPU, whatever there is")
    add(
        "--precision",
        default="auto",
        choices=INFERENCE_PRECISIONS,
        help="docs/prediction.md says what for",
    )


def run(options: argparse.Namespace) -> int:
    """Segment what was named, write results, print what was found; the exit code."""
    if not options.inputs and options.webcam is None:
        raise ValueError("nothing to segment: name an image, a folder or a video, or --webcam 0")
    if options.output_folder.is_file():
        raise NotADirectoryError(
            f"{options.output_folder}: is a file; --output-folder names a folder, and makes it"
        )
    sources, problems = files.find_sources(options.inputs, options.output_folder)
    # Whoever ends it so wants no half files either.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.webcam is not None:
            _segment_video(_predictor(options), options.webcam, _webcam_result(options), options)
        if sources:
            problems += _segment_files(sources, options)
    except KeyboardInterrupt:
        print("stopped; what was written stays, and the same command goes on", file=sys.stderr)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return int(bool(problems))


def _predictor(options) -> Predictor:
    inference = Inference(scales=options.scales, flip=options.flip, window=options.window)
    device = device_named("cpu" if options.no_cuda else options.device)
    if options.weights:
        if options.resume:
            raise ValueError("--weights is for --model; a run's weights are named by --resume")
        net = get_model(options.model, pretrained=options.weights)
        predictor = Predictor(
            net,
            dataset_of(options.model),
            inference=inference,
            device=device,
            precision=options.precision,
        )
    else:
        predictor = Predictor.load(
            options.resume or options.model,
            inference=inference,
            device=device,
            precision=options.precision,
        )
    if options.dataset:
        predictor = predictor.with_classes(get_meta(options.dataset))
    return predictor


def _segment_files(sources, options) -> list[str]:
    """Segment files, write and print; what went wrong."""
    note, predictor = _note(options), _predictor(options)
    problems, done, shares, seconds, sides = [], 0, [], [], []
    for source in tqdm(sources, unit="file", disable=True if len(sources) < 2 else None):
        try:
            if not options.overwrite and files.check_done(source, note):
                done += 1
                continue
            began = time.monotonic()
            shares.append(_segment(predictor, source, note, options))
            seconds.append(time.monotonic() - began)
            sides.append(0 if source.is_video else max(image_size(source.path)))
        except (ValueError, OSError) as error:
            problems.append(str(error))
    if done:
        print(
            f"{_numbered(done, 'file')} passed over: the results are there; --overwrite makes anew"
        )
    if shares:
        _report(sources, shares, seconds, max(sides), options)
    return problems


def _segment(predictor, source, note, options) -> list[tuple[str, float]]:
    """Segment a file and write its results; the shares of the classes found."""
    if source.is_video:
        return _segment_video(predictor, source.path, source.result("overlay", ".mp4"), options)
    height, width = image_size(source.path)
    if options.large or height * width > LARGE:
        return _segment_large(predictor, source, note, options)
    prediction = predictor(source.path)
    files.save_results(source, prediction, note, options.alpha)
    return prediction.shares()


def _segment_large(predictor, source, note, options):
    is_tiff = source.path.suffix.lower() in TIFF and importlib.util.find_spec("tifffile")
    mask = source.result("mask", ".tif" if is_tiff else ".png")
    mask.parent.mkdir(parents=True, exist_ok=True)
    prediction = predict_large(predictor, source.path, mask, options.large, note)
    files.save_png(prediction.overlay(options.alpha), source.result("overlay"), note)
    print(f"mask: {mask}, made of windows")
    return prediction.shares()


def _segment_video(predictor, source, path, options) -> list[tuple[str, float]]:
    frames, shares, keep = Frames(source), [], False
    video = OverlayVideo(path, frames.fps)
    try:
        for frame in tqdm(frames, total=frames.number, unit="frame", desc=path.name, disable=None):
            prediction = predictor(frame)
            video.add(prediction, options.alpha)
            shares.append(prediction.shares())
            if len(shares) == options.frames:
                break
        keep = True
    except KeyboardInterrupt:
        keep = options.webcam is not None  # which ends in no other way
        if not keep:
            raise
    finally:
        frames.close()
        video.close(keep)
    print(f"{path}: {_numbered(len(shares), 'frame')}")
    return files.merged(shares)


def _webcam_result(options) -> Path:
    path = options.output_folder / f"webcam{options.webcam}_overlay.mp4"
    if path.exists() and not options.overwrite:
        raise FileExistsError(f"{path}: is there already; --overwrite, or another --output-folder")
    return path


def _note(options) -> str:
    """What results depend on beside the image, in words."""
    model = options.model
    weights = weights_of(options.resume) if options.resume else options.weights
    if weights and Path(weights).is_file():
        model = file_digest(weights)[:12]  # wherever it lies
    scales = " ".join(map(str, options.scales)) + (" flip" if options.flip else "")
    window = f", window {options.window}" if options.window else ""
    classes = f", classes of {options.dataset}" if options.dataset else ""
    return f"{files.NOTE_BEGINS}{model}, {options.precision}, scales {scales}{window}{classes}"


def _report(sources, shares, seconds, longest_side, options) -> None:
    if len(sources) == 1:
        source = sources[0]
        if not source.is_video:
            print(f"mask: {source.result('mask')}\noverlay: {source.result('overlay')}")
        print(f"time: {seconds[0]:.2f} s")
    else:
        mean = sum(seconds) / len(seconds)
        number = _numbered(len(shares), "file")
        print(f"{number} segmented into {options.output_folder}, {mean:.2f} s each")
    print("found:")
    for name, share in files.merged(shares):
        text = f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"
        print(f"  {name:<14}{text:>8}")
    print(_next(longest_side, options))


def _next(longest_side, options) -> str:
    if longest_side >= _WIDE and options.scales == [1.0]:
        return (
            f"next: --scales {_USUAL / longest_side:.2g} sees images as of about {_USUAL} pixels: "
            "faster, and better where a model was trained on such"
        )
    if options.resume is None and options.model == DEFAULT_MODEL:
        return "next: other models by --model; classes of your own by main.py (docs/training.md)"
    return "next: --scales 0.75 1 1.25 --flip is slower, and often more exact"


def _numbered(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
