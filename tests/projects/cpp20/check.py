"""What the extensions do under the emulator, from several threads too."""

import threading

import xt_byhand
import xt_cpp20

WANTED = "  3.14|0xff|fmt|value|3hello1.510|async|133|25000.1-0.1251.25|once"

assert xt_cpp20.all() == WANTED, xt_cpp20.all()
assert xt_cpp20.any() == "bad cast"
assert xt_byhand.f() == 7
assert xt_cpp20.thrower(lambda: 42) == 42
arrived = ""
try:
    xt_cpp20.thrower(lambda: 1 / 0)
except ValueError as error:
    arrived = str(error)
assert arrived == "the callback failed"
threads = [threading.Thread(target=xt_cpp20.any) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("all of it works")
