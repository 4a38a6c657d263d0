"""What the readers of profiles make of GCC's files, against what GCC's own gcov makes of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from xtool.catalog import Catalog
from xtool.config import Settings
from xtool.context import Context
from xtool.kit import Kit
from xtool.log import SilentLog
from xtool.pgo import identity
from xtool.pgo.compiles import read_compiles
from xtool.pgo.flow import Flow, solve
from xtool.pgo.notes import ARCS, FAKE, TIME, TOPN, Graph, lists, read_data, read_notes, write_data
from xtool.setup import Request, ensure_kit

C_HEADER = """
static inline __attribute__((noinline)) int clamp(int x) { return x < 0 ? 0 : x > 99 ? 99 : x; }
"""

C_PROGRAM = r"""
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include "clamp.h"
static jmp_buf there;
static int depth(int n) { return n ? 1 + depth(n - 1) : 0; }
static void leave(int n) { if (n % 7 == 3) longjmp(there, n); }
static int divide(int a, int b) { return a / b; }
static int words(const char *text) {
  int found = 0, inside = 0;
  for (; *text; text++) {
    switch (*text) {
    case ' ': case '\t': inside = 0; break;
    case '#': return found;
    default: if (!inside++) found++;
    }
  }
  return found;
}
static int jumps(int n) {
  static void *table[] = {&&even, &&odd, &&end};
  int total = 0;
  goto *table[n & 1];
even: total += 2; if (n > 8) goto *table[2]; n += 3; goto *table[n & 1];
odd: total += 1; n += 1; goto *table[0];
end: return total;
}
int (*choice[])(int) = {depth, clamp, jumps};
__attribute__((cold)) static int never(int x) { while (x--) if (x == 5) return 1; return 2; }
static _Noreturn void finish(int code) { printf("done\n"); exit(code); }
int main(int argc, char **argv) {
  (void)argv;
  volatile int total = 0;
  for (int i = 0; i < 40; i++) {
    int back = setjmp(there);
    if (back) { total += back; continue; }
    leave(i);
    total += choice[i % 3](i - 9 < 0 ? 1 : i - 9) + divide(1000, i % 4 ? i % 4 : 8);
    if (i % 3 == 0) for (int j = i; j > 0; j /= 2) total += j & 1 ? 1 : 2;
  }
  total += words("two words\tthree # not these");
  if (argc > 1) return never(argc);
  printf("%d\n", total);
  finish(0);
}
"""

CXX_PROGRAM = r"""
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>
#include <cstdio>
namespace {
struct Shape { virtual ~Shape() = default; virtual int area() const = 0; };
struct Square : Shape { int a; explicit Square(int a) : a(a) {} int area() const override { return a * a; } };
struct Line : Shape { int area() const override { return 0; } };
int checked(int x) { if (x % 5 == 4) throw std::out_of_range("five"); return x; }
struct Guard { int &n; ~Guard() { n++; } };
}
template <typename T> T sum(const std::vector<T> &all) { T s{}; for (const auto &x : all) s += x; return s; }
template <int N> struct Fact { static int of(int x) { return N * x + Fact<N - 1>::of(x); } };
template <> struct Fact<0> { static int of(int) { return 1; } };
static int caught(int n) {
  int guards = 0;
  for (int i = 0; i < n; i++) {
    Guard g{guards};
    try { guards += checked(i) & 1; }
    catch (const std::out_of_range &e) { guards += e.what()[0] == 'f' ? 100 : 0; }
  }
  return guards;
}
inline int &counter() { static int value = std::string("abc").size(); return value; }
int main() {
  std::vector<std::unique_ptr<Shape>> shapes;
  for (int i = 0; i < 9; i++) {
    if (i % 3) shapes.push_back(std::make_unique<Square>(i)); else shapes.push_back(std::make_unique<Line>());
  }
  int total = 0;
  for (const auto &shape : shapes) total += shape->area();
  auto add = [&](int x) { total += x; return x > 3; };
  std::map<std::string, int> names;
  for (const char *name : {"a", "bb", "a", "ccc"}) names[name] += add(names[name] + 3) ? 2 : 1;
  total += sum<int>({1, 2, 3}) + static_cast<int>(sum<double>({0.5, 1.5})) + Fact<3>::of(total) + caught(13);
  total += counter()++ + counter();
  std::printf("%d\n", total);
}
"""


@dataclass(frozen=True)
class Tools:
    kit: Kit

    def compile(self, cwd: Path, tool: str, *words: str | Path) -> None:
        """Run a compiler in a folder, with nothing of the environment but that."""
        kit = self.kit
        command = [kit.toolchain.tool(tool), f"--sysroot={kit.sysroot.path}", *kit.target.cflags]
        command += [*words, *kit.target.ldflags]
        done = subprocess.run(
            command, cwd=cwd, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def run(self, program: Path, *words: str) -> str:
        """Run a program under the emulator; what it prints."""
        kit = self.kit
        command = [kit.emulator.executable, "-cpu", kit.emulator.cpu, "-L", kit.pythons["3.13"].root, program]
        done = subprocess.run([*command, *words], env={}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def gcov(self, data: Path) -> list[dict[str, Any]]:
        """What gcov makes of a file of counters and the notes beside it: functions, lines and branches."""
        command = [self.kit.toolchain.tool("gcov"), "--json-format", "--stdout", "-b", data.name]
        done = subprocess.run(command, cwd=data.parent, capture_output=True, text=True, check=True)
        files: list[dict[str, Any]] = json.loads(done.stdout)["files"]
        return files


@pytest.fixture(scope="module", params=["ppc64le", "s390x"])
def tools(shared_cache: Path, request: pytest.FixtureRequest) -> Tools:
    ctx = Context(Settings(cache_dir=shared_cache), SilentLog(), dict(os.environ))
    target = Catalog().target(request.param)
    return Tools(ensure_kit(ctx, Request(target, pythons=("3.13",))))


@dataclass(frozen=True)
class Counted:
    """A program that was compiled with counters and was run."""

    aux: str
    notes: Path
    data: Path
    graphs: tuple[Graph, ...]
    tools: Tools
    plain: bool

    def flows(self) -> dict[str, tuple[Graph, Flow]]:
        """Every function by its name, with how often its parts were run."""
        counts = {each.ident: each.counters.get(ARCS, ()) for each in read_data(self.data).functions}
        found = {}
        for graph in self.graphs:
            flow = solve(graph, counts.get(graph.ident, ()))
            assert flow is not None, graph.name
            found[graph.name] = graph, flow
        return found


@pytest.fixture(scope="module", params=["c", "c++", "c++ -O2"])
def counted(
    tools: Tools, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Counted:
    folder = tmp_path_factory.mktemp("counted")
    (folder / "clamp.h").write_text(C_HEADER)
    language, _, optimisation = request.param.partition(" ")
    source = folder / ("a.c" if language == "c" else "a.cc")
    source.write_text(C_PROGRAM if language == "c" else CXX_PROGRAM)
    flags = ["-fprofile-generate", "-ftest-coverage", "-fprofile-update=atomic", optimisation or "-O0"]
    tool = "gcc" if language == "c" else "g++"
    tools.compile(folder, tool, *flags, "-c", source, "-o", "out.o")
    tools.compile(folder, tool, "-fprofile-generate", "out.o", "-o", "program")
    once = tools.run(folder / "program")
    assert tools.run(folder / "program") == once
    notes, data = folder / "out.gcno", folder / "out.gcda"
    return Counted("out", notes, data, read_notes(notes).functions, tools, plain=not optimisation)


def test_every_function_is_numbered_as_the_compiler_does_it(counted: Counted) -> None:
    scopes = Counter[str]()
    for graph in counted.graphs:
        assert identity.lineno_checksum(graph.file, graph.line, graph.name) == graph.lineno_checksum, (
            graph.name
        )
        if graph.ident == identity.public_ident(graph.name):
            scopes["public"] += 1
        else:
            assert graph.ident == identity.local_ident(graph.file, graph.name, counted.aux), graph.name
            scopes["local"] += 1
    assert scopes["public"] > 0
    assert scopes["local"] > 0


def test_counters_belong_to_the_notes(counted: Counted) -> None:
    graphs = {graph.ident: graph for graph in counted.graphs}
    data, notes = read_data(counted.data), read_notes(counted.notes)
    assert (data.stamp, data.runs, data.version) == (notes.stamp, 2, "B42*")
    assert data.functions
    highest = 0
    for counts in data.functions:
        graph = graphs[counts.ident]
        assert (counts.lineno_checksum, counts.cfg_checksum) == (graph.lineno_checksum, graph.cfg_checksum)
        assert len(counts.counters.get(ARCS, ())) in (0, sum(not arc.flags & 1 for arc in graph.arcs))
        highest = max([highest, *counts.counters.get(ARCS, ())])
        for kind in (TOPN, 4):
            flat = counts.counters.get(kind, ())
            assert sum(2 + 2 * len(pairs) for _, pairs in lists(flat)) == len(flat)
        assert len(counts.counters.get(TIME, ())) <= 1
    assert data.highest == highest


def test_functions_and_blocks_are_run_as_often_as_gcov_says(counted: Counted) -> None:
    flows = counted.flows()
    told = [each for file in counted.tools.gcov(counted.data) for each in file["functions"]]
    for each in told:
        graph, flow = flows[each["name"]]
        run = _blocks(graph, flow.arcs)
        assert flow.entered == each["execution_count"], graph.name
        assert graph.blocks - 2 == each["blocks"], graph.name
        # gcov means to leave out entry and exit; it leaves out the first and the last, and the exit is 1.
        assert sum(count > 0 for count in run[1:-1]) == each["blocks_executed"], graph.name
        assert flow.weight == sum(run[2:])
    assert {each["name"] for each in told} == {graph.name for graph in counted.graphs if not graph.artificial}


def test_branches_are_taken_as_often_as_gcov_says(counted: Counted) -> None:
    counts: dict[str, Counter[tuple[int, int]]] = {}
    for name, (graph, flow) in counted.flows().items():
        counts[name] = Counter()
        for arc, count in zip(graph.arcs, flow.arcs, strict=True):
            counts[name][arc.source, arc.target] += count
    seen = 0
    for file in counted.tools.gcov(counted.data):
        for line in file["lines"]:
            for branch in line["branches"]:
                place = (branch["source_block_id"], branch["destination_block_id"])
                # gcov finds the function by the line: inlining makes that another one.
                own = counted.plain and "function_name" in line
                named = [line["function_name"]] if own else list(counts)
                assert branch["count"] in [counts[name][place] for name in named], (line, place)
                seen += 1
    assert seen > 20


def _blocks(graph: Graph, arcs: tuple[int, ...]) -> list[int]:
    """How often each block was run: what flows into it."""
    run = [0] * graph.blocks
    for arc, count in zip(graph.arcs, arcs, strict=True):
        run[arc.target] += count
    return run


def test_what_was_covered_leaves_out_calls_that_do_not_return(counted: Counted) -> None:
    for graph in counted.graphs:
        flow = solve(graph, ())
        assert flow is not None
        assert (flow.entered, flow.arcs_covered, flow.weight) == (0, 0, 0)
        assert flow.arcs_total == sum(not arc.flags & FAKE for arc in graph.arcs)
    assert any(arc.flags & FAKE for graph in counted.graphs for arc in graph.arcs)


def test_gcov_reads_what_is_written(counted: Counted, tmp_path: Path) -> None:
    """In one byte order for every target: gcov, as the compiler, takes either."""
    data = read_data(counted.data)
    before = counted.tools.gcov(counted.data)
    (tmp_path / "out.gcno").write_bytes(counted.notes.read_bytes())
    write_data(tmp_path / "out.gcda", data)
    again = read_data(tmp_path / "out.gcda")
    assert (again.runs, again.highest, again.version) == (data.runs, data.highest, data.version)
    assert [(each.ident, _nonzero(each.counters)) for each in again.functions] == [
        (each.ident, _nonzero(each.counters)) for each in data.functions
    ]
    # gcov wants the stamp of the notes; the compiler that optimises does not look at it.
    stamped = bytearray((tmp_path / "out.gcda").read_bytes())
    stamped[8:12] = read_notes(counted.notes).stamp.to_bytes(4, "little")
    (tmp_path / "out.gcda").write_bytes(stamped)
    assert counted.tools.gcov(tmp_path / "out.gcda") == before


def _nonzero(counters: Any) -> dict[int, tuple[int, ...]]:
    return {kind: values for kind, values in counters.items() if any(values)}


COMMANDS = [
    ("gcc", "-c ../a.c"),
    ("gcc", "-c ../a.c -o a.o"),
    ("gcc", "-c ../sub/b.c -o d/b.o"),
    ("gcc", "-c ../sub/b.c -od/b.cpython-313.o"),
    ("gcc", "-c ../a.c -o d/noext"),
    ("gcc", "-c ../a.c -o ./d/../d/z.o"),
    ("gcc", "-c ../a.c -o ../o/q.lo"),
    ("gcc", "-c {folder}/a.c -o {folder}/o/d/abs.o"),
    ("gcc", "-c ../a.c ../sub/b.c"),
    ("gcc", "-c ../a.b.c"),
    ("gcc", "-S ../a.c -o d/e.s"),
    ("gcc", "-S ../a.c"),
    ("gcc", "-shared -fPIC ../a.c -o d/a.so"),
    ("gcc", "-shared -fPIC ../a.c -o d/a.cpython-313.so"),
    ("gcc", "-shared -fPIC ../a.c ../sub/b.c -o d/both.so"),
    ("gcc", "-shared -fPIC ../a.c ../sub/b.c"),
    ("gcc", "-shared -fPIC ../a.c"),
    ("gcc", "-shared -fPIC ../a.c -o {folder}/o/abs.so"),
    ("gcc", "-shared -fPIC ../a.c -o a"),
    ("gcc", "-shared -fPIC ../a.c -o a.out"),
    ("gcc", "-shared -fPIC ../a.c -o d/a"),
    ("gcc", "-shared -fPIC ../a.c -o d/prog.exe"),
    ("gcc", "-shared -fPIC ../a.c -o d/a.exe"),
    ("gcc", "-shared -fPIC -I ../d -D X=1 ../a.c -L .. -o d/x.so"),
    ("gcc", "-shared -fPIC ../sub/b.c"),
    ("gcc", "-shared -fPIC ../sub/b.c -o d/a.out"),
    ("gcc", "-shared -fPIC ../a.c ../sub/b.c -o a"),
    ("gcc", "-shared -fPIC ../a.c -lm -Xlinker --as-needed -o d/a"),
    ("g++", "-c ../c.cc -o d/c.o"),
    ("g++", "-c ../c.cc -o d/c.cc.o"),
]


@pytest.mark.parametrize(("tool", "words"), COMMANDS, ids=[words for _, words in COMMANDS])
def test_the_counters_of_a_compile_are_where_they_are_looked_for(
    cache: Path, tmp_path: Path, tool: str, words: str
) -> None:
    ctx = Context(Settings(cache_dir=cache), SilentLog(), dict(os.environ))
    tools = Tools(ensure_kit(ctx, Request(Catalog().target("ppc64le"), pythons=("3.13",))))
    local = "static int __attribute__((noinline)) own(int x) { return x > 3 ? x : own(x + 1); }\n"
    (tmp_path / "sub").mkdir()
    for name in ("a.c", "a.b.c", "sub/b.c", "c.cc"):
        (tmp_path / name).write_text(f"{local}int {re.sub(r'[/.]', '_', name)}(int x) {{ return own(x); }}\n")
    cwd, trace = tmp_path / "o", tmp_path / "trace"
    (cwd / "d").mkdir(parents=True)
    trace.mkdir()
    argv = [word.format(folder=tmp_path) for word in words.split()]
    # As the wrappers note it.
    (trace / "1.cmd").write_bytes(b"".join(os.fsencode(word) + b"\0" for word in ("@source/o", *argv)))
    (trace / "1.d").write_text(f"# {cwd}\n")
    compiles = read_compiles(trace)
    options = ["-fprofile-generate=/counters/@source/o", f"-fprofile-prefix-path={cwd}", "-ftest-coverage"]
    tools.compile(cwd, tool, *options, *argv)
    made = [path for path in (*tmp_path.glob("*"), *cwd.rglob("*")) if path.is_file()]
    found = {
        os.path.normpath(os.fsdecode(name))
        for path in made
        for name in re.findall(rb"/counters/[^\0\"\\]+\.gcda", path.read_bytes())
    }
    assert found == {os.path.normpath(each.data_file(Path("/counters"))) for each in compiles}
    for each in compiles:
        notes = each.cwd / f"{each.aux}.gcno"
        (own,) = (graph for graph in read_notes(notes).functions if re.fullmatch(r"own|_ZL3owni", graph.name))
        assert own.ident == identity.local_ident(each.source, own.name, each.aux)
