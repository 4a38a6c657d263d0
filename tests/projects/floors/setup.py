"""A wheel of the kind that XT_FLOORS names, which asks for the newest that its sysroot's C library offers."""

import os
import shlex
import subprocess
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


class WithFortran(build_ext):
    def build_extension(self, ext):
        for source in [s for s in ext.sources if s.endswith(".f90")]:
            output = Path(self.build_temp, f"{source}.o")
            output.parent.mkdir(parents=True, exist_ok=True)
            compiler = shlex.split(os.environ["FC"])
            subprocess.run([*compiler, "-O2", "-fPIC", "-c", source, "-o", output], check=True)
            ext.sources.remove(source)
            ext.extra_objects.append(str(output))
        super().build_extension(ext)


# What lived in libraries of its own before glibc 2.34: projects name them at any floor.
LIBRARIES = ["pthread", "dl", "rt", "util", "m"]
KINDS = {
    "c": {"sources": ["plain.c"]},
    "cpp": {"sources": ["deep.cpp"], "extra_compile_args": ["-std=c++17"]},
    "fortran": {"sources": ["fortran.c", "routines.f90"], "libraries": ["gfortran", *LIBRARIES]},
    "openmp": {"sources": ["loops.c"], "extra_compile_args": ["-fopenmp"], "extra_link_args": ["-fopenmp"]},
}
kind = os.environ["XT_FLOORS"]
setup(
    name=f"xt-floors-{kind}",
    version="1.0",
    py_modules=[],
    cmdclass={"build_ext": WithFortran},
    ext_modules=[Extension(f"xt_floors_{kind}", **{"libraries": LIBRARIES, **KINDS[kind]})],
)
