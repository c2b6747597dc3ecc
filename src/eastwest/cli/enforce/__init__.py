"""`eastwest enforce`: what policies deny on the wire: set, see, and explain it."""

from eastwest.cli.enforce.command import register, run

__all__ = ["register", "run"]
