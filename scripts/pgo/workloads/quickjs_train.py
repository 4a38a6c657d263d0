"""Trains quickjs, an interpreter of JavaScript: small programs with objects, strings, closures and exceptions."""

from __future__ import annotations

import quickjs

context = quickjs.Context()
context.eval("""
class Point { constructor(x, y) { this.x = x; this.y = y; } plus(o) { return new Point(this.x + o.x, this.y + o.y); } }
function sum(n) { let p = new Point(0, 0); for (let i = 0; i < n; i++) p = p.plus(new Point(i, -i)); return p.x - p.y; }
function words(n) { const seen = {}; for (let i = 0; i < n; i++) { const w = "w" + (i * 7 % 31); seen[w] = (seen[w] || 0) + 1; }
  return Object.keys(seen).sort().map(k => k + "=" + seen[k]).join(","); }
function sieve(n) { const a = new Array(n).fill(true); let c = 0;
  for (let i = 2; i < n; i++) { if (!a[i]) continue; c++; for (let j = i * i; j < n; j += i) a[j] = false; } return c; }
function* naturals() { let i = 0; while (true) yield i++; }
function first(n) { const out = []; for (const i of naturals()) { if (i >= n) break; out.push(i); } return out; }
function fails(n) { let c = 0; for (let i = 0; i < n; i++) { try { if (i % 3 == 0) throw new Error("x" + i); } catch (e) { c++; } } return c; }
function floats(n) { let s = 0; for (let i = 1; i < n; i++) s += Math.sqrt(i) / (i + 0.5); return s; }
function text(n) { return JSON.stringify(JSON.parse('[1,{"a":[true,null,"x"]}]')).repeat(n).replace(/a/g, "b").split("b").length; }
function switched(n) { let s = 0; for (let i = 0; i < n; i++) switch (i & 3) { case 0: s += 1; break; case 1: s ^= 5; break; default: s -= 2; } return s; }
""")
for name, count in (
    ("sum", 1500), ("words", 600), ("sieve", 1500), ("fails", 200), ("floats", 1500), ("text", 40), ("switched", 2000),
):  # fmt: skip
    context.get(name)(count)
context.eval("first(200).reduce((a, b) => a + b)")
context.eval("[...new Map([[1, 2], [3, 4]]).entries()].flat().length")
