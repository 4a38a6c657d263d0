"""Times regex on what it was not trained with: source code, markup and prose in many scripts.

No pattern and no text is among those of the training; a tokenizer with many branches does most of the work,
where training mostly searches lines.
"""

from __future__ import annotations

import regex
from common import Writer, run

writer = Writer(1002, foreign=0.3)
draw = writer.random

source = "\n".join(
    f"def {writer.word()}_{number}({writer.word()}, *, {writer.word()}={draw.random():.4f}):\n"
    f'    """{writer.sentence()}"""\n'
    f"    if {writer.word()} >= {draw.randrange(10**6)} and not self.{writer.word()}:"
    f"  # {writer.sentence()}\n"
    f"        return [{writer.word()}['{writer.word()}'] for {writer.word()} in range(0x{number:x})]\n"
    for number in range(40)
)
markup = "".join(
    f'<p class="{writer.word()} {writer.word()}" id=n{number}>{writer.sentence()} '
    f"<a href='https://example.org/{writer.word()}?q={number}&amp;x=1'>{writer.word()}</a><br/></p>\n"
    for number in range(60)
)
prose = writer.paragraph(120)

token = regex.compile(
    r"""(?P<comment>\#[^\n]*)|(?P<string>\"{3}.*?\"{3}|'(?:[^'\\]|\\.)*')|(?P<number>0x[0-9a-f]+|\d+(?:\.\d+)?)
    |(?P<keyword>\b(?:def|if|and|not|return|for|in)\b)|(?P<name>[^\W\d]\w*)|(?P<operator>[-+*/=<>!]=?|[()\[\]{},.:;])
    |(?P<space>\s+)""",
    regex.VERBOSE | regex.DOTALL,
)
tag = regex.compile(r"""<(/?)(\w+)((?:\s+[\w-]+(?:=(?:"[^"]*"|'[^']*'|[^\s>]+))?)*)\s*(/?)>""")
attribute = regex.compile(r"""([\w-]+)=("[^"]*"|'[^']*'|[^\s>]+)""")
sentence = regex.compile(r"\p{Lu}[^.!?]*[.!?]+")
foreign = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]+|\p{Cyrillic}+")
doubled = regex.compile(r"\b(\w+)\s+(?:\w+\s+){0,3}\1\b", regex.IGNORECASE)
entity = regex.compile(r"&(\w+);|&#(\d+);")


def work() -> int:
    """One round."""
    count = sum(found.lastgroup != "space" for found in token.finditer(source))
    count += len(tag.findall(markup)) + len(attribute.findall(markup))
    count += len(sentence.findall(prose)) + len(foreign.findall(prose)) + len(doubled.findall(prose))
    return count + len(entity.sub("&", markup)) + len(tag.sub("", markup))


run(work)
