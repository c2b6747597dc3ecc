"""`eastwest rollout`: audit and enforce step by step."""

from eastwest.cli.rollout.command import register, run

__all__ = ["register", "run"]
