"""What users do, in as many ways of running processes as there are: `python -m xt_pgo.train WAY ...`."""

import multiprocessing
import os
import subprocess
import sys
import threading

import xt_pgo

ROUNDS = 200


def plain():
    xt_pgo.work(ROUNDS)


def pool(method):
    context = multiprocessing.get_context(method)
    with context.Pool(2) as workers:
        workers.map(xt_pgo.work, [ROUNDS] * 4)


def fork():
    pool("fork")


def spawn():
    pool("spawn")


def process():
    worker = multiprocessing.get_context("fork").Process(target=xt_pgo.work, args=(ROUNDS,))
    worker.start()
    worker.join()
    assert worker.exitcode == 0


def child():
    subprocess.run([sys.executable, "-c", f"import xt_pgo; xt_pgo.work({ROUNDS})"], check=True, env={})


def replace():
    xt_pgo.work(ROUNDS)
    os.execv(sys.executable, [sys.executable, "-c", "pass"])


def threads():
    running = [threading.Thread(target=xt_pgo.work, args=(ROUNDS,)) for _ in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


if __name__ == "__main__":
    for way in sys.argv[1:] or ["plain"]:
        globals()[way]()
