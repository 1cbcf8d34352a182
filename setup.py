"""Metadata is in pyproject.toml. Here stands what may be compiled, and is done without if not."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "gluonvision.data._warp",
            ["gluonvision/data/warp.c"],
            extra_compile_args=["-O2"],
            optional=True,
        )
    ]
)
