from libc.math cimport sqrt


def lengths(points):
    """How far points are from the origin."""
    cdef double x, y
    found = []
    for x, y in points:
        assert x == x, "not a number"
        found.append(sqrt(x * x + y * y))
    return found
