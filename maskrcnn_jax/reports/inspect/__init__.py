"""One image through a model, stage by stage, as a page."""

from maskrcnn_jax.reports.inspect.page import page_of
from maskrcnn_jax.reports.inspect.truth import annotated_image, validation_image
from maskrcnn_jax.reports.inspect.walking import Walk, walk

__all__ = ["Walk", "annotated_image", "page_of", "validation_image", "walk"]
