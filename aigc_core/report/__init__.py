"""One HTML file that tells what became of some runs. Free of torch."""

from aigc_core.report.page import write_report

__all__ = ["write_report"]
