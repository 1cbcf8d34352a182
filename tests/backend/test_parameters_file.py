"""``.params`` files: MXNet as writer and reader, bytes laid out by hand, damaged files."""

import io
import os
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile

import numpy as np
import peers
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gluonvision.backend import parameters_file
from gluonvision.backend.parameters_file import load, save

DTYPES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
VALUES = np.arange(6, dtype="<f4").reshape(2, 3)
DATA = VALUES.tobytes()


@pytest.fixture(scope="module")
def mx():
    return load_mxnet()


def load_mxnet():
    """MXNet 1.9.1, which asks NumPy for names that it dropped."""
    if not peers.installed("mxnet"):
        pytest.skip("MXNet is not installed")
    return peers.import_mxnet()


def file_bytes(arrays, names, count=None, num_names=None):
    """A file of arrays (as bytes) and names (as bytes), with counts that may lie."""
    count = len(arrays) if count is None else count
    num_names = len(names) if num_names is None else num_names
    parts = [struct.pack("<QQQ", 0x112, 0, count), *arrays, struct.pack("<Q", num_names)]
    return b"".join(parts + [struct.pack("<Q", len(name)) + name for name in names])


def array_bytes(magic=V2, shape=(2, 3), flag=0, data=DATA, storage=0, ndim=None, device=(1, 0)):
    """An array as files of version ``magic`` hold it; None is the header before V1."""
    ndim = len(shape) if ndim is None else ndim
    start = struct.pack("<I", ndim) if magic is None else struct.pack("<I", magic)
    start += struct.pack("<i", storage) if magic in (V2, V3) else b""
    start += struct.pack("<i", ndim) if magic is not None else b""
    code = "I" if magic is None else "q"
    return start + struct.pack(f"<{len(shape)}{code}iii", *shape, *device, flag) + data


def written(path, content):
    path.write_bytes(content)
    return path


def assert_same(actual, expected):
    assert list(actual) == list(expected)
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype and actual[name].shape == array.shape
        np.testing.assert_array_equal(actual[name], array)


def samples():
    rng = np.random.default_rng(0)
    return {
        f"layer.{dtype}": (rng.standard_normal((2, 3)) * 5).astype(dtype, casting="unsafe")
        for dtype in DTYPES
        if dtype != "uint8"
    } | {"layer.uint8": np.arange(4, dtype="uint8")}


# MXNet as writer and as reader


@pytest.mark.parametrize("dtype", DTYPES)
def test_reads_what_mxnet_saves(mx, tmp_path, dtype):
    expected = np.array([[0, 1, 1], [1, 0, 3]]).astype(dtype)
    mx.nd.save(str(tmp_path / "a.params"), {"a": mx.nd.array(expected, dtype=dtype)})
    assert_same(load(tmp_path / "a.params"), {"a": expected})


@pytest.mark.parametrize("dtype", DTYPES)
def test_mxnet_reads_what_is_saved(mx, tmp_path, dtype):
    expected = np.array([[0, 1, 1], [1, 0, 3]]).astype(dtype)
    save(tmp_path / "a.params", {"a": expected, "größe": expected[0]})
    actual = {k: v.asnumpy() for k, v in mx.nd.load(str(tmp_path / "a.params")).items()}
    assert_same(actual, {"a": expected, "größe": expected[0]})


def test_writes_the_same_bytes_as_mxnet(mx, tmp_path):
    arrays = samples()
    save(tmp_path / "ours", arrays)
    mx.nd.save(
        str(tmp_path / "theirs"), {k: mx.nd.array(v, dtype=v.dtype) for k, v in arrays.items()}
    )
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_reads_a_list_by_position(mx, tmp_path):
    mx.nd.save(str(tmp_path / "a"), [mx.nd.ones((2,)), mx.nd.zeros((1, 3))])
    expected = {"0": np.ones(2, np.float32), "1": np.zeros((1, 3), np.float32)}
    assert_same(load(tmp_path / "a"), expected)


def test_reads_and_writes_parameters_of_gluon_blocks(mx, tmp_path):
    source, target = small_net(mx), small_net(mx)
    source.save_parameters(str(tmp_path / "net.params"))
    arrays = load(tmp_path / "net.params")
    assert {k: v.shape for k, v in arrays.items()} == {
        "0.weight": (4, 3, 3, 3),
        "1.gamma": (4,),
        "1.beta": (4,),
        "1.running_mean": (4,),
        "1.running_var": (4,),
    }
    save(tmp_path / "copy.params", arrays)
    target.load_parameters(str(tmp_path / "copy.params"))
    image = mx.nd.random.uniform(shape=(1, 3, 5, 5))
    np.testing.assert_array_equal(source(image).asnumpy(), target(image).asnumpy())


def test_reads_an_export(mx, tmp_path):
    net = small_net(mx)
    net.hybridize()
    net(mx.nd.zeros((1, 3, 5, 5)))
    net.export(str(tmp_path / "net"))
    names = load(tmp_path / "net-0000.params")
    assert not any(":" in name for name in names)
    assert {n.split("_")[-1] for n in names} == {"weight", "gamma", "beta", "mean", "var"}


def small_net(mx):
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Conv2D(4, 3, use_bias=False, in_channels=3))
    net.add(mx.gluon.nn.BatchNorm(in_channels=4))
    net.initialize(mx.init.Xavier())
    return net


def test_reads_arrays_saved_under_numpy_semantics(mx, tmp_path):
    expected = {
        "scalar": np.array(3.0, np.float32),
        "empty": np.zeros((0, 3), np.float32),
        "mask": np.array([True, False]),
    }
    mx.npx.set_np()
    try:
        arrays = {k: mx.np.array(v, dtype=v.dtype) for k, v in expected.items()}
        mx.npx.save(str(tmp_path / "a"), arrays)
    finally:
        mx.npx.reset_np()
    assert_same(load(tmp_path / "a"), expected)


def test_reads_bfloat16_exactly(mx, tmp_path):
    bfloat16 = np.dtype([("bfloat16", np.uint16)])
    values = np.array([1.5, -2.0, 3.140625, np.inf, -np.inf, 0.0], np.float32)
    mx.nd.save(str(tmp_path / "a"), {"a": mx.nd.array(values).astype(bfloat16)})
    assert_same(load(tmp_path / "a"), {"a": values})


def test_zero_size_arrays_go_both_ways(mx, tmp_path):
    save(tmp_path / "a", {"a": np.zeros((0, 3), np.float32)})
    assert mx.nd.load(str(tmp_path / "a"))["a"].shape == (0, 3)
    assert_same(load(tmp_path / "a"), {"a": np.zeros((0, 3), np.float32)})


@pytest.mark.parametrize("storage", ["row_sparse", "csr"])
def test_sparse_arrays_are_refused(mx, tmp_path, storage):
    mx.nd.save(str(tmp_path / "a"), {"a": mx.nd.ones((4, 2)).tostype(storage)})
    with pytest.raises(ValueError, match=rf"sparse \({storage}\).*tostype"):
        load(tmp_path / "a")


@pytest.mark.parametrize("magic", [V1, None])
def test_mxnet_agrees_about_older_headers(mx, tmp_path, magic):
    path = written(tmp_path / "a", file_bytes([array_bytes(magic)], [b"w"]))
    np.testing.assert_array_equal(mx.nd.load(str(path))["w"].asnumpy(), VALUES)


# Bytes laid out by hand


@pytest.mark.parametrize("magic", [V1, V2, V3, None])
def test_reads_every_version(tmp_path, magic):
    content = file_bytes([array_bytes(magic), array_bytes(magic)], [b"arg:w", b"aux:v"])
    arrays = load(written(tmp_path / "a", content))
    assert_same(arrays, {"w": VALUES, "v": VALUES})
    assert all(a.flags.writeable and a.flags.owndata for a in arrays.values())


def test_the_device_it_was_saved_on_does_not_matter(tmp_path):
    content = file_bytes([array_bytes(device=(2, 7))], [b"w"])
    assert_same(load(written(tmp_path / "a", content)), {"w": VALUES})


@pytest.mark.parametrize(
    ("flag", "data", "expected"),
    [
        (12, struct.pack("<H", 0x4049), np.array(3.140625, np.float32)),
        (7, b"\x02", np.array(True)),
        (0, struct.pack("<f", 2.5), np.array(2.5, np.float32)),
    ],
)
def test_reads_scalars(tmp_path, flag, data, expected):
    content = file_bytes([array_bytes(V3, (), flag, data)], [b"s"])
    arrays = load(written(tmp_path / "a", content))
    assert_same(arrays, {"s": expected})
    assert isinstance(arrays["s"], np.ndarray) and arrays["s"].flags.owndata


def test_a_bool_of_any_byte_is_true_or_false(tmp_path):
    content = file_bytes([array_bytes(V2, (3,), 7, b"\x00\x02\xff")], [b"m"])
    mask = load(written(tmp_path / "a", content))["m"]
    assert mask.tobytes() == b"\x00\x01\x01"


def test_bfloat16_keeps_every_bit(tmp_path):
    bits = np.arange(2**16, dtype="<u2")
    content = file_bytes([array_bytes(V2, (2**16,), 12, bits.tobytes())], [b"b"])
    wide = load(written(tmp_path / "a", content))["b"]
    np.testing.assert_array_equal(wide.view(np.uint32) >> 16, bits)
    assert not (wide.view(np.uint32) & 0xFFFF).any() and wide.flags.owndata


# Round trips


@st.composite
def arrays_of_any_layout(draw):
    dtype = np.dtype(draw(st.sampled_from(DTYPES))).newbyteorder(draw(st.sampled_from("<>")))
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=4))
    array = draw(hnp.arrays(dtype, shape))
    axes = draw(st.permutations(range(array.ndim)))
    return array.transpose(axes)[:: draw(st.sampled_from([1, -1, 2]))]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(
            lambda n: ":" not in n
        ),
        arrays_of_any_layout(),
        max_size=4,
    )
)
def test_round_trip(tmp_path, arrays):
    save(tmp_path / "a.params", arrays)
    native = {k: v.astype(v.dtype.newbyteorder("=")) for k, v in arrays.items()}
    assert_same(load(tmp_path / "a.params"), native)


def test_saves_to_and_loads_from_a_string(tmp_path):
    save(str(tmp_path / "a.params"), {"w": VALUES})
    assert_same(load(str(tmp_path / "a.params")), {"w": VALUES})


@pytest.mark.parametrize("dtype", ["uint16", "complex64", "object", "U3", "M8[s]"])
def test_a_dtype_that_mxnet_lacks_is_refused(tmp_path, dtype):
    with pytest.raises(ValueError, match=r"'w' has dtype .*float32.*astype"):
        save(tmp_path / "a.params", {"w": np.zeros(2, dtype)})
    assert not list(tmp_path.iterdir())


def test_a_scalar_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'s' is a scalar.*reshape\(1\)"):
        save(tmp_path / "a.params", {"s": np.float32(1)})
    assert not list(tmp_path.iterdir())


# All or nothing


@pytest.mark.parametrize("call", ["os.replace", "os.fsync", "_write"])
def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    path = tmp_path / "a.params"
    save(path, {"w": VALUES})

    def write_some_and_fail(*args):
        if call == "_write":
            args[0].write(b"half")
        raise OSError("disk full")

    module = "backend.parameters_file" if call == "_write" else "utils.atomic"
    monkeypatch.setattr(f"gluonvision.{module}.{call}", write_some_and_fail)
    with pytest.raises(OSError, match="disk full"):
        save(path, {"v": VALUES})
    monkeypatch.undo()
    assert_same(load(path), {"w": VALUES})
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_may_be_as_long_as_the_disk_takes(tmp_path):
    path = tmp_path / ("n" * 248 + ".params")
    save(path, {"w": VALUES})
    assert_same(load(path), {"w": VALUES})


def test_save_syncs_the_file_then_renames_then_syncs_the_folder(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, real=real, name=name: (calls.append(name), real(*a))[1]
        )
    save(tmp_path / "a.params", {"w": VALUES})
    assert calls == (["fsync", "replace", "fsync"] if os.name != "nt" else ["fsync", "replace"])


@pytest.mark.posix
def test_save_keeps_a_link_and_the_usual_permissions(tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "a.params"
    link.symlink_to(tmp_path / "disk" / "a.params")
    save(link, {"w": VALUES})
    (tmp_path / "usual").touch()
    assert link.is_symlink() and os.listdir(tmp_path / "disk") == ["a.params"]
    assert link.stat().st_mode == (tmp_path / "usual").stat().st_mode


# Damaged and hostile files

BIG = 2**40
HOSTILE = {
    "count of arrays": (file_bytes([], [], count=2**63), "array 0 of"),
    "count of names": (file_bytes([array_bytes()], [], num_names=2**63), "1 arrays but"),
    "fewer names": (file_bytes([array_bytes()] * 2, [b"w"]), "2 arrays but 1 names"),
    "length of a name": (
        file_bytes([array_bytes()], [], num_names=1) + struct.pack("<Q", BIG),
        "name 0 of 1 needs",
    ),
    "name not UTF-8": (file_bytes([array_bytes()], [b"\xff\xfe"]), "not UTF-8"),
    "names alike": (file_bytes([array_bytes()] * 2, [b"w", b"w"]), "2 arrays are named 'w'"),
    "names alike without prefix": (
        file_bytes([array_bytes()] * 2, [b"arg:w", b"aux:w"]),
        "2 arrays are named 'w'",
    ),
    "more after the end": (file_bytes([array_bytes()], [b"w"]) + b"\0", "1 bytes after its end"),
    "huge": (file_bytes([array_bytes(shape=(BIG,))], [b"w"]), "array 0 of 1 needs"),
    "huge, before V1": (file_bytes([array_bytes(None, (2**31, 2**28))], [b"w"]), "array 0 of 1"),
    "overflow to 0": (file_bytes([array_bytes(shape=(2**32, 2**32))], [b"w"]), "has shape"),
    "overflow to 24": (file_bytes([array_bytes(shape=(2**61 + 6,))], [b"w"]), "has shape"),
    "huge beside 0": (file_bytes([array_bytes(shape=(0, 2**62))], [b"w"]), "has shape"),
    "negative": (file_bytes([array_bytes(shape=(-2, -3))], [b"w"]), r"has shape \(-2, -3\)"),
    "unknown dimension": (file_bytes([array_bytes(V3, (-1, 3))], [b"w"]), "has shape"),
    "ndim": (file_bytes([array_bytes(ndim=2**31 - 1)], [b"w"]), "has ndim"),
    "ndim 33": (file_bytes([array_bytes(shape=(1,) * 33)], [b"w"]), "has ndim 33"),
    "negative ndim": (file_bytes([array_bytes(ndim=-7)], [b"w"]), "has ndim -7"),
    "magic": (file_bytes([array_bytes(0xDEADBEEF)], [b"w"]), "starts with 0xdeadbeef"),
    "storage type": (file_bytes([array_bytes(storage=9)], [b"w"]), "storage type 9"),
    "sparse": (file_bytes([array_bytes(storage=1)], [b"w"]), "row_sparse"),
    "dtype flag": (file_bytes([array_bytes(flag=8)], [b"w"]), "dtype flag 8"),
    "no array": (file_bytes([struct.pack("<Iii", V2, 0, 0)], [b"w"]), "never initialized"),
    "V2 scalar": (file_bytes([array_bytes(V2, (), data=b"1234")], [b"w"]), "shape \\(1,\\)"),
    "no array, V3": (file_bytes([struct.pack("<Iii", V3, 0, -1)], [b"w"]), "never initialized"),
    "no array, before V1": (file_bytes([struct.pack("<I", 0)], [b"w"]), "never initialized"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_cost_an_error_and_nothing_more(tmp_path, case):
    content, problem = HOSTILE[case]
    path = written(tmp_path / "bad.params", content)
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(ValueError, match=rf"bad\.params.*{problem}"):
            load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5e6 and time.perf_counter() - start < 1


def test_many_names_alike_are_found_quickly(tmp_path):
    tiny = array_bytes(V2, (0,), data=b"")
    path = written(tmp_path / "a", file_bytes([tiny] * 20_000, [b"w"] * 20_000))
    start = time.perf_counter()
    with pytest.raises(ValueError, match="20000 arrays are named 'w'"):
        load(path)
    assert time.perf_counter() - start < 2


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    save(tmp_path / "a", {"w": VALUES, "mask": np.array([True, False])})
    content = (tmp_path / "a").read_bytes()
    for size in range(len(content)):
        with pytest.raises(ValueError, match=r"cut\.params.* cannot be read as \.params"):
            load(written(tmp_path / "cut.params", content[:size]))


@pytest.mark.parametrize("magic", [V1, V2, V3, None])
def test_flipped_bytes_raise_nothing_but_value_error(tmp_path, magic):
    clean = file_bytes([array_bytes(magic), array_bytes(magic, flag=12)], [b"arg:w", b"aux:v"])
    rng = np.random.default_rng(0)
    for _ in range(300):
        content = bytearray(clean)
        for position in rng.integers(0, len(clean), size=rng.integers(1, 4)):
            content[position] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)])
        path = written(tmp_path / "a", bytes(content))
        try:
            arrays = load(path)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            assert all(isinstance(a, np.ndarray) for a in arrays.values())


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = written(tmp_path / "a", file_bytes([array_bytes()], [b"w"])[:-30])
    grown = os.stat_result([*os.stat(path)[:6], 10**6, *os.stat(path)[7:10]])
    monkeypatch.setattr(os, "fstat", lambda descriptor: grown)
    with pytest.raises(ValueError, match="shorter while it was being read"):
        load(path)


# Other files under the name


def zip_of(name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"content")
    return buffer.getvalue()


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, w=VALUES)
    return buffer.getvalue()


LOOKALIKES = {
    "empty": (b"", "is empty"),
    "text": (b"hello, world", r"starts with b'hello, w'.*save_parameters"),
    "HTML": (b"\n<!DOCTYPE html><html>404</html>", "web page.*download the file again"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "git lfs pull"),
    "PyTorch": (zip_of("weights/data.pkl"), r"PyTorch checkpoint.*torch\.load"),
    "PyTorch before 1.6": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", r"pickle.*torch\.load"),
    "safetensors": (
        struct.pack("<Q", 70) + b'{"w":{"dtype":"F32"',
        r"safetensors.*safetensors\.numpy\.load_file",
    ),
    "npz": (npz(), r"\.npz.*numpy\.load"),
    "npy": (b"\x93NUMPY\x01\x00", r"\.npy.*numpy\.load"),
    "zip": (zip_of("resnet50.params"), "archive.*unpack"),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "archive.*unpack"),
    "symbol": (b'{\n  "nodes": [\n', r"JSON.*-symbol\.json"),
}


@pytest.mark.parametrize("case", LOOKALIKES)
def test_other_files_are_named_for_what_they_are(tmp_path, case):
    content, problem = LOOKALIKES[case]
    path = written(tmp_path / "w.params", content)
    with pytest.raises(ValueError, match=rf"(?s)w\.params.*{problem}"):
        load(path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.params")
    with pytest.raises(FileNotFoundError, match=r"a\.params"):
        save(tmp_path / "none" / "a.params", {})


def test_the_module_needs_no_framework():
    code = (
        "import runpy, sys\n"
        f"runpy.run_path({parameters_file.__file__!r})\n"
        "assert not {'torch', 'mxnet', 'pickle'} & set(sys.modules) - before"
    )
    code = "import sys, numpy; before = set(sys.modules)\n" + code
    subprocess.run([sys.executable, "-c", code], check=True)
