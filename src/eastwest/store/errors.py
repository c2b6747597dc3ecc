"""How a store can fail, in words a person can act on."""

from __future__ import annotations


class StoreError(Exception):
    """The store could not answer or keep something."""


class StoreUnavailableError(StoreError):
    """The store is starting, restarting or gone; the same call may work later."""


class StoreLockedError(StoreError):
    """Another process has the data directory open."""


class StoreRefusedError(StoreError):
    """The engine understood and said no (out of memory, bad statement); asking again will not help."""
