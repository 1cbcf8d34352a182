"""The optional C extension: without a compiler, pip installs the rest. Metadata: pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "gluonvision.data.transforms._warp",
            ["gluonvision/data/transforms/warp.c"],
            extra_compile_args=["-O2"],
            optional=True,
        )
    ]
)
