"""Parts of `scripts/pgo_evidence.py`: builds, comparisons, timing, counting, and the page made of them."""
