"""Asks pkg-config for libffi and zlib, as many projects do, and takes what it says."""

import subprocess

from setuptools import Extension, setup


def ask(option: str) -> list[str]:
    return subprocess.run(
        ["pkg-config", option, "libffi", "zlib"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()


setup(
    ext_modules=[
        Extension(
            "xt_libraries",
            ["libraries.c"],
            extra_compile_args=ask("--cflags"),
            extra_link_args=ask("--libs"),
        )
    ]
)
