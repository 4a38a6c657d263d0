"""What training and evaluation scripts share: made-up text, and rounds that are run when asked for.

Every input is made from a seed, so that each machine, native or emulated, works on the same bytes.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from collections.abc import Callable

CONSONANTS, VOWELS = "bcdfghklmnprstvwz", "aeiou"
ACCENTED = "éèüößåñçøœđł"
OTHER_SCRIPTS = ("данные и числа", "δοκιμή", "数据压缩测试", "正規表現エンジン", "اختبار", "🦊🚀📦")


class Writer:
    """Writes words, sentences and paragraphs that nobody has to read.

    Args:
        seed: decides everything.
        foreign: share of words, 0 to 1, with letters that are not ASCII.
    """

    def __init__(self, seed: int, foreign: float = 0.0) -> None:
        self.random = random.Random(seed)
        self._words = [self._new_word(foreign) for _ in range(600)]

    def _new_word(self, foreign: float) -> str:
        draw = self.random
        if draw.random() < foreign / 3:
            return draw.choice(OTHER_SCRIPTS)
        word = "".join(draw.choice(CONSONANTS) + draw.choice(VOWELS) for _ in range(draw.randint(1, 4)))
        return word + draw.choice(ACCENTED) if draw.random() < foreign else word

    def word(self) -> str:
        """A word; some are far more frequent than others, as in any language."""
        return self._words[int(len(self._words) * self.random.random() ** 3)]

    def sentence(self) -> str:
        """Three to fourteen words."""
        words = [self.word() for _ in range(self.random.randint(3, 14))]
        return " ".join(words).capitalize() + self.random.choice(("", ",", "!")) + "."

    def paragraph(self, sentences: int) -> str:
        """So many sentences."""
        return " ".join(self.sentence() for _ in range(sentences))


def run(work: Callable[[], int]) -> None:
    """Do a workload as the command line says: so many rounds, or one for each line of standard input.

    `serve` answers each line with the seconds of processor time that the round took and with what it came to;
    a number runs so many rounds at once and prints the last outcome. The garbage collector is off: its work
    is the interpreter's, and comes when it likes.

    Args:
        work: one round; returns a checksum of its results, which must be the same each time.
    """
    gc.collect()
    gc.disable()
    if sys.argv[1] != "serve":
        outcome = [work() for _ in range(int(sys.argv[1]))]
        print(outcome[-1] if outcome else 0)
        return
    for _ in sys.stdin:
        began = time.thread_time()
        outcome = [work()]
        print(time.thread_time() - began, outcome[0], flush=True)
