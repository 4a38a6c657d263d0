"""C, C++ whose templates two objects share, a static library, and a source that Cython writes."""

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(
    packages=["xt_pgo"],
    libraries=[("xtsteps", {"sources": ["src/steps.c"], "cflags": ["-fPIC"]})],
    ext_modules=[
        Extension("xt_pgo._counts", ["src/counts.c"], libraries=["xtsteps"], include_dirs=["src"]),
        Extension("xt_pgo._pairs", ["src/pairs.cpp", "src/pairs_more.cpp"], include_dirs=["src"]),
        *cythonize([Extension("xt_pgo._sums", ["src/sums.pyx"])], build_dir="build/cython", language_level=3),
    ],
)
