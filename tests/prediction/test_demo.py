"""The command ``demo``: files, folders, videos and webcams, and everything that can be wrong."""

import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from saved_runs import save_run

from gluonvision import backend, model_zoo
from gluonvision.__main__ import run_command
from gluonvision.commands import demo
from gluonvision.prediction import large_windows
from gluonvision.prediction.files import find_sources
from gluonvision.prediction.video import OverlayVideo
from gluonvision.runs.artifacts import load_run
from gluonvision.segmentation import Predictor, TrainConfig, predict
from gluonvision.utils.download import DownloadError


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The weights of a run, of random ones."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        backend.seed(3)
        net = model_zoo.FCN(11, "mobilenet_v2", pretrained_base=False)
        config = TrainConfig(dataset="camvid", model="fcn", backbone="mobilenet_v2", no_cuda=True)
        return folder / save_run(config, net)


@pytest.fixture
def images(tmp_path, monkeypatch):
    """A folder with pictures of three kinds, one of them below another folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "sub/c.bmp"):
        Image.fromarray(picture(len(name))).save(tmp_path / "in" / name)
    return tmp_path / "in"


def picture(seed, height=32, width=48):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def run(weights, capsys):
    def run(*arguments, resume=weights):
        options = ["--resume", resume, "--precision", "fp32", "--no-cuda"] if resume else []
        code = run_command("demo", [str(a) for a in (*arguments, *options)])
        return code, *capsys.readouterr()

    return run


def files_in(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_one_image(run, images, weights):
    code, out, err = run("in/a.png")
    assert code == 0 and "a_mask.png" in out and "a_overlay.png" in out and "next:" in out
    assert sum(float(w) for w in out.split() if w.replace(".", "").isdigit()) > 99
    net, _ = load_run(weights)
    mask = np.asarray(Image.open("a_mask.png"))
    np.testing.assert_array_equal(mask, predict(net, np.asarray(Image.open("in/a.png"))))
    assert not err.strip()


def test_wide_pictures_are_told_of_a_smaller_scale(run, images):
    Image.fromarray(picture(1, 8, 2048)).save("in/wide.png")
    assert "next: --scales 0.5 " in run("in", "--output-folder", "out")[1]
    assert "--scales 0.75 1 1.25" in run("in/wide.png", "--scales", "0.5", "--overwrite")[1]


def test_a_folder_is_gone_on_with(run, images, tmp_path):
    assert run("in", "--output-folder", "out")[0] == 0
    expected = ["a_mask.png", "a_overlay.png", "b_mask.png", "b_overlay.png"]
    expected += ["sub/c_mask.png", "sub/c_overlay.png"]
    assert files_in(tmp_path / "out") == expected
    (tmp_path / "out" / "b_overlay.png").unlink()
    kept = (tmp_path / "out" / "a_mask.png").stat().st_mtime_ns
    code, out, _ = run("in", "--output-folder", "out")
    assert code == 0 and "2 files skipped" in out and "--overwrite" in out
    assert files_in(tmp_path / "out") == expected
    assert (tmp_path / "out" / "a_mask.png").stat().st_mtime_ns == kept
    assert "3 files segmented" in run("in", "--output-folder", "out", "--overwrite")[1]


def test_results_made_otherwise_are_neither_kept_silently_nor_lost(run, images):
    run("in/a.png")
    before = Path("a_mask.png").read_bytes()
    code, _, err = run("in/a.png", "--flip")
    assert code == 1 and "flip" in err and "--overwrite" in err
    assert Path("a_mask.png").read_bytes() == before
    assert run("in/a.png", "--flip", "--overwrite")[0] == 0


def test_a_run_is_known_by_its_weights_and_not_by_their_path(run, images, weights):
    run("in/a.png")
    elsewhere = shutil.copytree(weights.parent, "moved")
    assert "1 file skipped" in run("in/a.png", resume=elsewhere)[1]


def test_other_colours_are_another_way(run, images):
    run("in/a.png")
    code, _, err = run("in/a.png", "--dataset", "camvid")
    assert code == 1 and "now model" in err and "classes of camvid" in err


def test_results_are_no_sources(run, images):
    run("in")
    assert "3 files skipped" in run(".")[1] or "skipped" in run("in")[1]
    assert "no images" in run("*_mask.png")[2]


def test_a_video_of_overlays_is_no_source(run, video, tmp_path):
    Path("in", "v.mp4").write_bytes(Path(video).read_bytes())
    for _ in range(2):
        run("in", "--output-folder", "in/out")
    assert [name for name in files_in(tmp_path / "in") if name.endswith(".mp4")] == [
        "out/v_overlay.mp4",
        "v.mp4",
    ]


def test_a_pattern(run, images, tmp_path):
    assert run("in/*.[pj]*", "--output-folder", "out")[0] == 0
    assert len(files_in(tmp_path / "out")) == 4


def test_two_files_of_one_name_keep_their_endings(run, images, tmp_path):
    Image.fromarray(picture(9)).save("in/a.jpg")
    assert run("in/a.png", "in/a.jpg", "--output-folder", "out")[0] == 0
    assert "a.jpg_mask.png" in files_in(tmp_path / "out")
    assert "a.png_mask.png" in files_in(tmp_path / "out")


def test_two_files_of_one_name_in_two_folders_are_both_segmented(run, images, tmp_path):
    Image.fromarray(picture(9)).save("in/sub/b.jpg")
    folder = images / "sub"  # the folder's files are named twice: in another way, once more
    code, out, _ = run("in/b.jpg", "in/sub", folder, "in/a.png", "--output-folder", "out")
    assert code == 0 and "4 files segmented" in out and "skipped" not in out
    masks = [name for name in files_in(tmp_path / "out") if name.endswith("_mask.png")]
    assert masks == ["a_mask.png", "b_mask.png", "sub/b_mask.png", "sub/c_mask.png"]
    sources, _ = find_sources(["in/b.jpg", "in/sub/b.jpg"] * 2, Path("out"))
    assert [source.stem for source in sources] == [Path("out/b"), Path("out/sub/b")]


def test_a_tiff_of_strange_tags_is_no_result(images):
    tag = (270, "B", 2, b"ab", True)  # the description, of numbers
    tifffile.imwrite("in/d.tif", picture(9), photometric="rgb", extratags=[tag], metadata=None)
    assert len(find_sources(["in"], Path())[0]) == 4


def test_an_ending_kept_is_not_another_files_name(images):
    Image.fromarray(picture(9)).save("in/a.jpg")
    Image.fromarray(picture(9)).save("in/a.png.jpg")
    sources, _ = find_sources(["in"], Path())
    assert len({source.stem for source in sources}) == len(sources) == 5


BAD = {
    "none.jpg": "no such file",
    "text.jpg": "not an image",
    "empty.png": "0 bytes",
    "cut.jpg": "truncated",
    "float.tif": "more than 8 bits",
    "empty": "no images or videos",
    "cut.mp4": "cannot be read as a video",
    "*.xyz": "no images or videos",
}


def test_what_is_bad_is_told_and_the_rest_goes_on(run, images):
    content = (images / "b.jpg").read_bytes()
    (images / "cut.jpg").write_bytes(content[: len(content) // 2])
    (images / "text.jpg").write_text("hello")
    (images / "cut.mp4").write_text("hello")
    (images / "empty.png").write_bytes(b"")
    (images / "empty").mkdir()
    Image.fromarray(picture(0)[..., 0].astype(np.float32)).save(images / "float.tif")
    code, out, err = run(*(images / name for name in BAD), "in/a.png")
    assert code == 1 and "1 file segmented" in out and "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == len(BAD)
    for name, message in BAD.items():
        assert any(name in line and message in line for line in lines), name


@pytest.mark.parametrize("kind", ["grey", "alpha", "cmyk", "16 bits", "palette", "turned"])
def test_unusual_pictures(kind, run, images):
    pixels, options = picture(4), {}
    path = images / {"cmyk": "x.jpg"}.get(kind, "x.png")
    drawn = {
        "grey": lambda: Image.fromarray(pixels[..., 0]),
        "alpha": lambda: Image.fromarray(np.dstack([pixels, pixels[..., 0]])),
        "cmyk": lambda: Image.fromarray(pixels).convert("CMYK"),
        "16 bits": lambda: Image.fromarray(pixels[..., 0].astype(np.uint16) * 257),
        "palette": lambda: Image.fromarray(pixels).quantize(64),
        "turned": lambda: Image.fromarray(pixels),
    }[kind]()
    if kind == "turned":
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 6
    drawn.save(path, **options)
    assert run(path)[0] == 0
    assert Image.open("x_mask.png").size == ((32, 48) if kind == "turned" else (48, 32))


@pytest.mark.filterwarnings("ignore:Image size")
def test_a_bomb_is_refused_but_by_its_owner(run, images, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    monkeypatch.setattr("gluonvision.data.files.decoding._MAX_PIXELS", 500)
    code, _, err = run("in/b.jpg")
    assert code == 1 and "b.jpg" in err and "--large" in err
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    code, out, _ = run("in/b.jpg", "--large", "--window", 32)
    assert code == 0 and "predicted in windows" in out


def test_large_images_are_made_of_windows(run, images, monkeypatch):
    monkeypatch.setattr(large_windows, "LARGE", 1000)
    code, out, _ = run("in/a.png", "--window", 32)
    assert code == 0 and "predicted in windows" in out
    assert Image.open("a_mask.png").size == (48, 32)
    assert "1 file skipped" in run("in/a.png", "--window", 32)[1]


@pytest.fixture
def video(images):
    writer = cv2.VideoWriter("v.mp4", cv2.VideoWriter_fourcc(*"mp4v"), 5.0, (48, 32))
    for i in range(4):
        writer.write(picture(i))
    writer.release()
    return "v.mp4"


def frames_of(path):
    capture = cv2.VideoCapture(path)
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return frames, capture.get(cv2.CAP_PROP_FPS)


def test_a_video(run, video):
    code, out, _ = run(video)
    frames, fps = frames_of("v_overlay.mp4")
    assert code == 0 and "4 frames" in out and fps == 5 and len(frames) == 4
    assert frames[0].shape[0] > 32  # the legend
    assert "skipped" in run(video)[1]
    assert run(video, "--overwrite", "--frames", 2)[0] == 0
    assert len(frames_of("v_overlay.mp4")[0]) == 2


@pytest.mark.parametrize(
    ("fps", "written"), [(0.2, 1), (23.976, 23.976), (67.611, 68), (119.88, 120), (1e6, 240)]
)
def test_a_video_of_any_speed(fps, written, weights, tmp_path):
    prediction = Predictor.load(weights, device=backend.cpu(), precision="fp32")(picture(0))
    video = OverlayVideo(tmp_path / "v.mp4", fps)
    video.add(prediction)
    video.close()
    frames, rate = frames_of(str(tmp_path / "v.mp4"))
    assert len(frames) == 1 and rate == pytest.approx(written, abs=0.01)


def test_an_interrupted_video_leaves_nothing(run, video, monkeypatch, tmp_path):
    monkeypatch.setattr(
        demo.OverlayVideo, "add", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    before = files_in(tmp_path)
    assert run(video)[0] == 130
    assert files_in(tmp_path) == before


@pytest.mark.posix
def test_a_video_that_does_not_fit_on_the_disk_is_told(run, video, tmp_path):
    import resource  # Windows has none

    before = files_in(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        code, _, err = run(video)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 1 and "v_overlay.mp4: only 0 of 4 frames" in err and "disk is not full" in err
    assert files_in(tmp_path) == before


class Webcam:
    """A camera of three pictures, whose user presses Ctrl-C at the fourth; or none at all."""

    def __init__(self, number):
        self.frames = iter([picture(i) for i in range(3)]) if number == 0 else iter([])
        self.is_there = number == 0

    def read(self):
        frame = next(self.frames, None)
        if frame is None and self.is_there:
            raise KeyboardInterrupt
        return frame is not None, frame

    def get(self, _):
        return 0.0

    def set(self, *_):
        pass

    def release(self):
        pass


def test_a_webcam_is_kept_when_it_is_stopped(run, images, tmp_path, monkeypatch):
    of_file = cv2.VideoCapture
    monkeypatch.setattr(
        cv2, "VideoCapture", lambda name: Webcam(name) if name == 0 else of_file(name)
    )
    code, out, _ = run("--webcam", 0)
    assert code == 0 and "webcam0_overlay.mp4: 3 frames" in out
    code, _, err = run("--webcam", 0)
    assert code == 1 and "--overwrite" in err
    monkeypatch.undo()
    assert len(frames_of(str(tmp_path / "webcam0_overlay.mp4"))[0]) == 3


def test_a_webcam_that_is_not_there(run, images, monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Webcam)
    code, _, err = run("--webcam", 7)
    assert code == 1 and "webcam 7 gives no image" in err


def test_without_a_network_the_way_out_is_named(images, monkeypatch, capsys, tmp_path):
    def refuse(*_, **__):
        raise DownloadError("no network")

    monkeypatch.setattr("gluonvision.model_zoo.weights.store.download", refuse)
    monkeypatch.setenv("GLUONVISION_HOME", str(tmp_path))
    logging.disable(logging.WARNING)
    assert run_command("demo", ["in/a.png"]) == 1
    logging.disable(logging.NOTSET)
    assert "--model deeplabv3plus_mobilenet_v2_camvid" in capsys.readouterr().err


def test_nothing_to_do_is_said(run, capsys):
    code, _, err = run()
    assert code == 1 and "no input" in err
    with pytest.raises(SystemExit):
        run_command("demo", ["a.png", "--model", "x", "--resume", "y"])
    assert "not allowed with" in capsys.readouterr().err


def test_the_model_that_comes_with_the_package(run, images):
    code, out, _ = run(
        "in/a.png", "--model", "deeplabv3plus_mobilenet_v2_camvid", "--no-cuda", resume=None
    )
    assert code == 0 and "found:" in out


def test_a_published_model_with_weights_of_ones_own(run, images, tmp_path):
    name, file = "deeplabv3plus_mobilenet_v2_camvid", tmp_path / "own.params"
    backend.seed(4)
    model_zoo.get_model(name).save_parameters(str(file))
    arguments = ("in/a.png", "--model", name, "--weights", file, "--no-cuda")
    assert run(*arguments, "--output-folder", "own", resume=None)[0] == 0
    assert run(*arguments[:3], "--no-cuda", "--output-folder", "its", resume=None)[0] == 0
    masks = [np.array(Image.open(tmp_path / f / "a_mask.png")) for f in ("own", "its")]
    assert not np.array_equal(*masks)
    code, _, err = run("in/b.jpg", "--weights", file)
    assert code == 1 and "--weights only works with --model" in err


def test_results_go_into_a_folder(run, images):
    code, _, err = run("in/b.jpg", "--output-folder", "in/a.png")
    assert code == 1 and "--output-folder in/a.png is a file" in err
