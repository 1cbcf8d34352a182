"""Training: the loop, plain to read."""

from pathlib import Path

from tqdm import tqdm

from gluonvision import backend
from gluonvision.backend import nn
from gluonvision.data import DataLoader, dataset_meta, get_segmentation_dataset
from gluonvision.loss import SoftmaxCrossEntropyLoss
from gluonvision.model_zoo import get_segmentation_model, load_weights
from gluonvision.segmentation.checkpoint import save_run
from gluonvision.segmentation.config import TrainConfig
from gluonvision.segmentation.evaluate import evaluate
from gluonvision.utils.lr_schedule import poly


def train(config: TrainConfig) -> Path:
    """Train a model as ``config`` says; returns the file of its weights.

    Shows the loss as it goes and, at the end, the scores on whole validation images. The weights
    are written after every epoch, with the configuration beside them.
    """
    backend.seed(config.seed)
    device = backend.gpu() if backend.num_gpus() and not config.no_cuda else backend.cpu()
    # The data first: what is wrong with it shows before weights are fetched and time is spent.
    loader = _training_batches(config)
    validation = get_segmentation_dataset(
        config.dataset,
        root=config.data_folder,
        split=config.val_split,
        mode="val",
        skip_broken=config.skip_broken,
    )
    net = build_model(config, device)
    trainer = backend.Trainer(
        net, SoftmaxCrossEntropyLoss(config.aux_weight), config.momentum, config.weight_decay
    )
    progress = tqdm(total=config.epochs * len(loader), unit="step", desc=f"training {config.model}")
    with progress:
        for epoch in range(config.epochs):
            _train_epoch(config, epoch, loader, trainer, device, progress)
            checkpoint = save_run(config, net)
    print(f"weights: {checkpoint}")
    scores = evaluate(net, validation)
    print(
        f"{config.val_split}: mIoU {scores.mean_iou:.3f}, pixel accuracy "
        f"{scores.pixel_accuracy:.3f} on {len(validation)} whole images"
    )
    return checkpoint


def build_model(config: TrainConfig, device):
    """The model of a configuration, with the weights that it is to start from."""
    pretrained_base = config.backbone_weights or config.pretrained_base
    net = get_segmentation_model(
        config.model,
        dataset_meta(config.dataset, config.data_folder),
        config.backbone,
        pretrained_base=False if config.resume else pretrained_base,
        norm_layer=nn.SyncBatchNorm if config.syncbn else nn.BatchNorm,
        # MXNet would wait for every GPU that it sees.
        norm_kwargs={"num_devices": 1} if config.syncbn else None,
        aux=config.aux,
    )
    if config.resume:
        load_weights(net, config.resume)
    net.collect_params().reset_ctx(device)
    return net


def _training_batches(config):
    dataset = get_segmentation_dataset(
        config.dataset,
        root=config.data_folder,
        split=config.train_split,
        mode="train",
        base_size=config.base_size,
        crop_size=config.crop_size,
        seed=config.seed,
        skip_broken=config.skip_broken,
    )
    # A last batch of one image would leave pooled branches one value to normalize.
    last_batch = "discard" if len(dataset) >= config.batch_size else "keep"
    return DataLoader(
        dataset,
        config.batch_size,
        shuffle=True,
        seed=config.seed,
        num_workers=config.workers,
        last_batch=last_batch,
    )


def _train_epoch(config, epoch, loader, trainer, device, progress):
    loader.set_epoch(epoch)
    for i, (images, labels) in enumerate(loader):
        rate = poly(epoch * len(loader) + i, progress.total, config.lr, warmup=config.warmup)
        x = backend.image_input(images, device)
        loss = trainer.step(x, backend.array(labels, device), rate)
        progress.set_postfix(epoch=epoch + 1, loss=f"{loss:.3f}", lr=f"{rate:.2g}", refresh=False)
        progress.update()
