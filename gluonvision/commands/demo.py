"""Segment a photograph: its palette mask and an overlay, beside what was found."""

from pathlib import Path

from gluonvision.backend import cpu, gpu, num_gpus
from gluonvision.data.base import read_image
from gluonvision.model_zoo import get_model
from gluonvision.segmentation import predict
from gluonvision.segmentation.checkpoint import load_run
from gluonvision.utils import class_shares, get_mask, overlay


def add_arguments(parser) -> None:
    """The command's options."""
    parser.add_argument("image", type=Path, help="a photograph")
    parser.add_argument("--model", default="fcn_resnet101_voc", help="a published model")
    parser.add_argument("--resume", type=Path, help="weights of a run of main.py, instead")
    parser.add_argument("--dataset", default="pascal_voc", help="whose classes the model has")
    parser.add_argument("--output-folder", type=Path, default=Path(), help="where results go")


def run(options) -> None:
    """Segment, write mask and overlay, print what was found."""
    if options.resume:
        net, dataset = load_run(options.resume)
    else:
        net, dataset = get_model(options.model, pretrained=True), options.dataset
    net.collect_params().reset_ctx(gpu() if num_gpus() else cpu())
    image = read_image(options.image)
    mask = predict(net, image)
    options.output_folder.mkdir(parents=True, exist_ok=True)
    stem = options.output_folder / options.image.stem
    get_mask(mask, dataset).save(f"{stem}_mask.png")
    overlay(image, mask, dataset).save(f"{stem}_overlay.png")
    print(f"mask: {stem}_mask.png\noverlay: {stem}_overlay.png\nfound:")
    for name, share in class_shares(mask, dataset):
        print(f"  {name:<14}{100 * share:6.1f} %")
