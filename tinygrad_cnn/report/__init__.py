"""Everything about one network on one page that opens anywhere."""

from tinygrad_cnn.report.page import report

__all__ = ["report"]
