"""What a model does on a dataset, or two models on the same: numbers, and a page about them."""

from maskrcnn_jax.reports.model_report.page import write_report
from maskrcnn_jax.reports.model_report.pictures import Pictures, worst_images
from maskrcnn_jax.reports.model_report.report import FEDERATED, Report, model_report

__all__ = ["FEDERATED", "Pictures", "Report", "model_report", "worst_images", "write_report"]
