"""Mask R-CNN in JAX, as a chain of pure functions."""

__version__ = "0.1.0"
