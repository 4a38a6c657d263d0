import os

from setuptools import Extension, setup

# Without the macro the compiler lets everything pass, and only the tag says that one wheel is for all.
limited = [] if os.environ.get("XT_ABI3_UNLIMITED") else [("Py_LIMITED_API", "0x030B0000")]

setup(
    packages=["xt_abi3"],
    ext_modules=[
        Extension("xt_abi3._names", ["src/names.c"], define_macros=limited, py_limited_api=True),
    ],
)
