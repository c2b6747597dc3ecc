"""`eastwest policy`: one file a subcommand; what begins with _ is shared by several."""

from eastwest.cli.policy.command import register, run

__all__ = ["register", "run"]
