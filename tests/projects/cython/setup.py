"""An extension that Cython writes; the C file that it made goes into the wheel as well."""

from Cython.Build import cythonize
from setuptools import setup

setup(
    packages=["xt_cython"],
    package_data={"xt_cython": ["*.pyx", "*.c"]},
    ext_modules=cythonize(["xt_cython/fast.pyx"], language_level=3),
)
