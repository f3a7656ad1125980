"""The three papers' statements, each checked numerically beside a version that must fail."""

from spectral_ssl.theorems.check import CheckResult, run, statements

__all__ = ["CheckResult", "run", "statements"]
