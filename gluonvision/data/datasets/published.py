"""The base of the published data sets: finds the folder of one and lists the files of a split."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gluonvision.data.datasets.base import SegmentationDataset, default_mode
from gluonvision.data.datasets.locations import check_split

Root = str | os.PathLike | None


class PublishedDataset(SegmentationDataset):
    """A published data set in the layout of its own archive.

    A subclass sets ``SPLITS``, and ``_list_files`` finds its folder and lists the files of a split.

    Args:
        root: folder that holds the data set, or the data set's own folder. By default
            ``$GLUONVISION_DATA``, or the data set's folder in it, else the data set's folder in
            ``~/.mxnet/datasets``.
        split: one of ``SPLITS``.
        mode: 'train', 'val', 'testval' or 'test'; by default the split's own name, or 'train' if
            that is not a mode.
        transform: function applied to each image last.
        skip_broken: leave out images whose files are missing, broken or do not fit.
        options: further options of ``SegmentationDataset``: ``base_size``, ``crop_size``, ``seed``,
            ``photometric``, ``cat_max_ratio``.

    Raises:
        FileNotFoundError: the data set or one of its files is missing; the message lists
            the searched places and the command to run.
        ValueError: the split, the mode or an option's value is unknown.
        TypeError: an option is unknown.
    """

    SPLITS: tuple[str, ...] = ()
    NUM_CLASS: int  # GluonCV's name for num_class, for code that was written for GluonCV
    root: Path

    def __init__(
        self,
        root: Root = None,
        split: str = "train",
        mode: str | None = None,
        transform: Callable | None = None,
        *,
        skip_broken: bool = False,
        **options: Any,
    ) -> None:
        check_split(split, self.SPLITS)
        self.split = split
        images, masks = self._list_files(root, may_miss=skip_broken)
        mode = mode or self._default_mode()
        super().__init__(images, masks, mode, transform, skip_broken=skip_broken, **options)

    def _list_files(self, root: Root, may_miss: bool) -> tuple[list[Path], list[Path] | None]:
        """Set ``self.root``, and list the split's images and, if it has any, their masks.

        With ``may_miss``, list files that are missing too.
        """
        raise NotImplementedError

    def _default_mode(self) -> str:
        return default_mode(self.split)
