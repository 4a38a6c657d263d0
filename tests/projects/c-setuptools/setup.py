from setuptools import Extension, setup

setup(
    packages=["xt_c"],
    ext_modules=[
        Extension("xt_c._sum", ["src/sum.c"], include_dirs=["src"]),
        Extension("xt_c._where", ["src/where.c"], libraries=["m"]),
    ],
)
