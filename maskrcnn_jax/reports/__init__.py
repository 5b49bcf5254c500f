"""Tables that need several rooms."""

from maskrcnn_jax.reports.compare import Difference, compare_checkpoints, difference_table

__all__ = ["Difference", "compare_checkpoints", "difference_table"]
