from setuptools import Extension, setup

setup(py_modules=["xt_spawns"], ext_modules=[Extension("_xt_spawns", ["spawns.c"], py_limited_api=False)])
