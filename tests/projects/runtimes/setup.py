"""Extensions that need GCC's runtime libraries, each in the way projects get at them."""

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


OPENMP = ["-fopenmp"]
setup(
    name="xt-runtimes",
    version="1.0",
    py_modules=[],
    cmdclass={"build_ext": WithFortran},
    ext_modules=[
        Extension("xt_thrower", ["thrower.cpp", "fail.cpp"]),
        Extension("xt_catcher", ["catcher.cpp", "call.cpp"]),
        Extension("xt_loops", ["loops.c"], extra_compile_args=OPENMP, extra_link_args=OPENMP),
        Extension("xt_fortran", ["fortran.c", "routines.f90"], libraries=["gfortran", "m"]),
    ],
)
