"""Metadata is in pyproject.toml. Here stands what may be compiled, and is done without if not."""

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
