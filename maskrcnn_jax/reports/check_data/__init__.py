"""A check of an experiment's data: findings, what the configuration makes of them, and pages about both."""

from maskrcnn_jax.reports.check_data.findings import KINDS, Finding, Place
from maskrcnn_jax.reports.check_data.page import write_report
from maskrcnn_jax.reports.check_data.report import Report, check_data
from maskrcnn_jax.reports.check_data.terminal import summary

__all__ = ["KINDS", "Finding", "Place", "Report", "check_data", "summary", "write_report"]
