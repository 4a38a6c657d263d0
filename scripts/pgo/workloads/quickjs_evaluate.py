"""Times quickjs on programs that it was not trained with: matrices, a binary tree, a parser, many-queens.

Recursion and typed arrays do most of it, where training loops over objects and strings.
"""

from __future__ import annotations

import quickjs
from common import run

context = quickjs.Context()
context.eval("""
function matrix(n) { const a = new Float64Array(n * n), b = new Float64Array(n * n), c = new Float64Array(n * n);
  for (let i = 0; i < n * n; i++) { a[i] = i % 7; b[i] = i % 5; }
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) { let s = 0; for (let k = 0; k < n; k++) s += a[i * n + k] * b[k * n + j]; c[i * n + j] = s; }
  return c[n * n - 1]; }
function insert(t, v) { if (t === null) return { v, l: null, r: null }; if (v < t.v) t.l = insert(t.l, v); else t.r = insert(t.r, v); return t; }
function depth(t) { return t === null ? 0 : 1 + Math.max(depth(t.l), depth(t.r)); }
function tree(n) { let t = null, x = 12345; for (let i = 0; i < n; i++) { x = (x * 1103515245 + 12345) % 2147483648; t = insert(t, x); } return depth(t); }
function queens(n, row = 0, cols = 0, d1 = 0, d2 = 0) { if (row === n) return 1; let c = 0;
  for (let i = 0; i < n; i++) { const m = 1 << i, a = 1 << (row + i), b = 1 << (row - i + n); if (cols & m || d1 & a || d2 & b) continue; c += queens(n, row + 1, cols | m, d1 | a, d2 | b); } return c; }
function calc(s) { let i = 0;
  function atom() { if (s[i] === "(") { i++; const v = add(); i++; return v; } let j = i; while (s[i] >= "0" && s[i] <= "9") i++; return +s.slice(j, i); }
  function mul() { let v = atom(); while (s[i] === "*") { i++; v = v * atom() % 10007; } return v; }
  function add() { let v = mul(); while (s[i] === "+") { i++; v += mul(); } return v; }
  return add(); }
function all() { return matrix(24) + tree(600) + queens(6) + calc("(1+2*3)*(4+5)*6+7+".repeat(60) + "1"); }
""")
every = context.get("all")


def work() -> int:
    """One round."""
    return int(every())


run(work)
