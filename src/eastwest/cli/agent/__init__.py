"""`eastwest agent`: record the flows of one node."""

from eastwest.cli.agent.command import register, run

__all__ = ["register", "run"]
