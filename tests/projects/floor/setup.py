from setuptools import Extension, setup

setup(
    packages=["xt_floor"],
    ext_modules=[Extension("xt_floor._floor", ["src/floor.c"], libraries=["m"])],
)
