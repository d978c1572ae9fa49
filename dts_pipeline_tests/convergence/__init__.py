"""A model of two sites joined by two links, driven by the pipeline's own core functions."""
