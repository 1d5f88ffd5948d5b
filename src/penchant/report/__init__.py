"""One self-contained page about a model: it works without a network, and every text in it is escaped."""

from penchant.report.page import write_report

__all__ = ["write_report"]
