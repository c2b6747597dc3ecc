"""DNS of one node, tick by tick: messages in, a window's tally out, names learned. Owns the state, not the hook."""

from __future__ import annotations

from collections.abc import Iterable

from eastwest.agent.dns.names import Names
from eastwest.agent.dns.tally import DnsTally
from eastwest.agent.dns.transactions import Sighting, Transactions


class DnsWatch:
    """Not thread-safe: the tick thread owns it."""

    def __init__(self, names: Names | None = None, transactions: Transactions | None = None) -> None:
        self.names = names or Names()
        self.transactions = transactions or Transactions()
        self._tally = DnsTally()

    def see(self, sightings: Iterable[Sighting]) -> None:
        """Take messages as they come out of the ring; may be called many times a tick."""
        for sighting in sightings:
            lookup = self.transactions.see(sighting)
            if lookup is not None:
                self.names.learn(lookup)
                self._tally.add(lookup)

    def close_window(self, now_ns: int) -> DnsTally:
        """What was looked up since the last call, unanswered questions included. `now_ns`: CLOCK_MONOTONIC."""
        for lookup in self.transactions.expire(now_ns):
            self._tally.add(lookup)
        done, self._tally = self._tally, DnsTally()
        return done

    def counters(self) -> dict[str, int]:
        """What was seen and did not become a lookup, and what memory limits cost; totals."""
        counts = self.transactions.counts
        return {
            "malformed": counts.malformed,
            "other_opcodes": counts.other_opcodes,
            "unmatched": counts.unmatched,
            "forgotten": counts.forgotten,
            "names_evicted": self.names.evicted,
        }
