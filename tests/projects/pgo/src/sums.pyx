def squares(long n):
    cdef long total = 0, i
    for i in range(n):
        if i % 3:
            total += i * i
    return total
