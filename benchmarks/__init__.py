"""Side-by-side runs against other ways to carry the same changes; see docs/performance.md."""
