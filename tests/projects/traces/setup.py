"""Whatever of a build can end up in its wheel: names, times, orders. `traces()` tells what has."""

import os
from pathlib import Path

from setuptools import Extension, setup

# An absolute path, as of headers that another package brings.
include = [str(Path("include").resolve())]
# None of these is sorted: the order is the one in which a folder names its files.
parts = [str(path) for path in Path("parts").glob("*.c")]
library = [f"lib/{entry.name}" for entry in os.scandir("lib")]
order = " ".join(path.stem for path in Path("parts").iterdir())
Path("include/order.h").write_text(f'#define XT_ORDER "{order}"\n')
lto = ["-flto"]
setup(
    packages=["xt_traces"],
    package_data={"xt_traces": ["*.txt"]},
    libraries=[("xt_static", {"sources": ["static.c"], "include_dirs": include})],
    ext_modules=[
        Extension("xt_traces._main", ["main.c", *library, *parts], include_dirs=include, language="c++"),
        Extension(
            "xt_traces._lto",
            ["main.c", *parts],
            include_dirs=include,
            define_macros=[("XT_LTO", None)],
            extra_compile_args=lto,
            extra_link_args=lto,
        ),
        # One source for several extensions, and so one object file, which is compiled differently each time.
        *(Extension(f"xt_traces._more{n}", ["more.c"], define_macros=[("XT_MORE", n)]) for n in "0123"),
    ],
)
