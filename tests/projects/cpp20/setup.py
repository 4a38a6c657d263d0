from setuptools import Extension, setup

setup(
    name="xt-cpp20",
    version="1.0",
    py_modules=[],
    ext_modules=[
        Extension("xt_cpp20", ["cpp20.cpp"], language="c++", extra_compile_args=["-std=c++20"]),
        # Linked by the C compiler, with the C++ library named by hand.
        Extension("xt_byhand", ["byhand.c", "helper.cpp"], libraries=["stdc++"]),
    ],
)
