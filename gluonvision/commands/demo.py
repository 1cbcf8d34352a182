"""Segment images, folders, videos or a webcam: palette masks, and overlays beside what was found.

Results are written as they come. What is there already is passed over, so that a command that was
interrupted can be given again. Ends with 1 where a file could not be segmented; the others are.
"""

import argparse
import sys
import time
from pathlib import Path

from tqdm import tqdm

from gluonvision.backend.precisions import PRECISIONS
from gluonvision.data.meta import get_meta
from gluonvision.segmentation import predict_files as files
from gluonvision.segmentation.checkpoint import weights_of
from gluonvision.segmentation.inference import Inference
from gluonvision.segmentation.predict_video import Frames, OverlayVideo
from gluonvision.segmentation.predictor import Predictor, device_named
from gluonvision.utils.hashing import file_digest

DEFAULT_MODEL = "fcn_resnet101_voc"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("inputs", nargs="*", metavar="INPUT", help="images, videos, folders, patterns ('*.jpg')")
    add("--webcam", type=int, metavar="N", help="the webcam of this number, until Ctrl-C")
    add("--frames", type=int, metavar="N", help="stop a video or the webcam after so many frames")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--model", default=DEFAULT_MODEL, help="a published model")
    source.add_argument("--resume", metavar="FILE", help="weights, or the folder, of a run instead")
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
    add("--precision", default="auto", choices=PRECISIONS, help="docs/prediction.md says what for")


def run(options: argparse.Namespace) -> int:
    """Segment what was named, write results, print what was found; the exit code."""
    if not options.inputs and options.webcam is None:
        raise ValueError("nothing to segment: name an image, a folder or a video, or --webcam 0")
    predictor = _predictor(options)
    try:
        if options.webcam is not None:
            _segment_video(predictor, options.webcam, _webcam_result(options), options)
            return 0
        return _segment_files(predictor, options)
    except KeyboardInterrupt:
        print("stopped; what was written stays, and the same command goes on", file=sys.stderr)
        raise


def _predictor(options) -> Predictor:
    how = Inference(scales=options.scales, flip=options.flip, window=options.window)
    predictor = Predictor.load(
        options.resume or options.model,
        how=how,
        device=device_named("cpu" if options.no_cuda else options.device),
        precision=options.precision,
    )
    if options.dataset:
        predictor = predictor.with_classes(get_meta(options.dataset))
    return predictor


def _segment_files(predictor, options) -> int:
    sources, problems = files.find_sources(options.inputs, options.output_folder)
    made_by = _made_by(options)
    done, shares, seconds = [], [], []
    bar = tqdm(sources, unit="file", desc="segmenting", disable=True if len(sources) < 2 else None)
    for source in bar:
        try:
            if not options.overwrite and files.is_done(source, made_by):
                done.append(source)
                continue
            began = time.monotonic()
            shares.append(_segment(predictor, source, made_by, options))
            seconds.append(time.monotonic() - began)
        except (ValueError, OSError) as error:
            problems.append(str(error))
    _report(sources, done, shares, seconds, options)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return int(bool(problems))


def _segment(predictor, source, made_by, options) -> list[tuple[str, float]]:
    """Segment a file and write its results; the shares of the classes found."""
    if source.is_video:
        return _segment_video(predictor, source.path, source.result("overlay", ".mp4"), options)
    prediction = predictor(source.path)
    files.save_results(source, prediction, made_by, options.alpha)
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
    print(f"{path}: {files.numbered(len(shares), 'frame')}")
    return files.merged(shares)


def _webcam_result(options) -> Path:
    path = options.output_folder / f"webcam{options.webcam}_overlay.mp4"
    if path.exists() and not options.overwrite:
        raise FileExistsError(f"{path}: is there already; --overwrite, or another --output-folder")
    return path


def _made_by(options) -> dict:
    """What results depend on beside the image."""
    made_by = {"model": options.model, "precision": options.precision}
    weights = weights_of(options.resume) if options.resume else None
    if weights:
        made_by["model"] = f"{weights} ({file_digest(weights)[:12]})"
    return made_by | {"scales": options.scales, "flip": options.flip, "window": options.window}


def _report(sources, done, shares, seconds, options) -> None:
    if done:
        there = files.numbered(len(done), "result")
        print(f"{there} there already, and passed over; --overwrite makes them anew")
    if not shares:
        return
    if len(sources) == 1 and not sources[0].is_video:
        print(f"mask: {sources[0].result('mask')}\noverlay: {sources[0].result('overlay')}")
    else:
        print(f"{files.numbered(len(shares), 'file')} segmented into {options.output_folder}/")
    print(
        f"time: {sum(seconds) / len(seconds):.2f} s each"
        if len(seconds) > 1
        else f"time: {seconds[0]:.2f} s"
    )
    print("found:")
    for name, share in files.merged(shares):
        print(f"  {name:<14}{100 * share:6.1f} %")
    print(_next(options))


def _next(options) -> str:
    if options.resume is None and options.model == DEFAULT_MODEL:
        return "next: other models by --model; your own classes by main.py (docs/training.md)"
    return "next: --scales 0.75 1 1.25 --flip is slower, and more exact"
