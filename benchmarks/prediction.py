"""Prediction, from an image to its classes: ours, torchvision and segmentation-models-pytorch.

    python benchmarks/prediction.py

The model is DeepLabV3 on ResNet50 with 21 classes, at output stride 8 for all three
(``encoder_output_stride=8`` in segmentation-models-pytorch). On a GPU: images of 480 x 480 and
1024 x 2048, batches of 1 and 16, float16 and bfloat16, eager and compiled. On a CPU: one image of
480 x 480 or 512 x 1024, float32, eager. All start from uint8 pixels on the device, normalize them
there, and leave the classes there.
"""

import itertools

import measuring

NCLASS = 21
SIZES = {"cuda": [(480, 480), (1024, 2048)], "cpu": [(480, 480), (512, 1024)]}
BATCHES = {"cuda": [1, 16], "cpu": [1]}
DTYPES = {"cuda": ["float16", "bfloat16"], "cpu": ["float32"]}


def our_net():
    from gluonvision.model_zoo import DeepLabV3

    return DeepLabV3(NCLASS, "resnet50_v1b", pretrained_base=False)


def torchvision_net():
    import peers

    make = peers.import_torchvision().models.segmentation.deeplabv3_resnet50
    return make(weights=None, weights_backbone=None, num_classes=NCLASS)


def smp_net():
    import peers

    peers.import_torchvision()
    import segmentation_models_pytorch as smp

    options = {"encoder_weights": None, "classes": NCLASS, "encoder_output_stride": 8}
    return smp.DeepLabV3("resnet50", **options)


def plain_classes(net, x):
    """The code that users of the peers write."""
    logits = net(x)
    return (logits["out"] if isinstance(logits, dict) else logits).argmax(1)


def our_classes(net, x):
    from gluonvision.backend.torch.logits import resized_argmax

    return resized_argmax(net(x, coarse=True), x.shape[2:], True)


NETS = {
    "ours": (our_net, our_classes),
    "torchvision": (torchvision_net, plain_classes),
    "segmentation-models-pytorch": (smp_net, plain_classes),
}


def prediction(name, device, dtype, is_compiled):
    """Make a function from uint8 pixels (N, 3, H, W) to classes."""
    import torch

    make, classes = NETS[name]
    torch.manual_seed(0)
    net = make().eval().to(device, memory_format=torch.channels_last)
    if is_compiled:
        net.compile(dynamic=False)
    mean, std = (
        torch.tensor(values, device=device).view(1, 3, 1, 1)
        for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )

    def predict(pixels):
        x = ((pixels / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            return classes(net, x)

    return predict


def compare(device, size, batch, dtype_name, is_compiled, options):
    import torch

    dtype = getattr(torch, dtype_name)
    pixels = torch.randint(0, 256, (batch, 3, *size), device=device, dtype=torch.uint8)
    functions = {name: prediction(name, device, dtype, is_compiled) for name in NETS}
    synchronize = torch.cuda.synchronize if device == "cuda" else None
    for function in functions.values():
        function(pixels), function(pixels)
    routines = {name: lambda f=function: f(pixels) for name, function in functions.items()}
    times = measuring.take_turns(routines, options.rounds, synchronize, options.threads)
    settings = f"{dtype_name}, {'compiled' if is_compiled else 'eager'}"
    work = f"DeepLabV3-ResNet50, {batch} x {size[0]} x {size[1]}, {settings}, {device}"
    for peer in [name for name in NETS if name != "ours"]:
        aim = {"aim": 1.0} if device == "cuda" else {}
        yield measuring.time_row(work, "time", times["ours"], peer, times[peer], **aim)


def main():
    options = measuring.parser(__doc__).parse_args()
    import torch

    torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    compiled = (False, True) if device == "cuda" else (False,)
    cases = itertools.product(SIZES[device], BATCHES[device], DTYPES[device], compiled)
    with torch.no_grad():
        rows = [row for case in cases for row in compare(device, *case, options)]
    measuring.save(f"prediction_{device}", rows, options)


if __name__ == "__main__":
    main()
