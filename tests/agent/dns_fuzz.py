"""DNS parser under atheris: `python tests/agent/dns_fuzz.py -max_total_time=60` where atheris is installed.

Any bytes parse or raise MalformedMessageError; what parses is bounded. `make soak` runs it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

with atheris.instrument_imports():
    from eastwest.agent.dns.message import MalformedMessageError, parse


def one(data: bytes) -> None:
    if not data:
        return
    try:
        message = parse(data[1:], cut=bool(data[0] & 1))
    except MalformedMessageError:
        return
    assert len(message.answers) * 11 <= len(data)
    assert all(len(q.name) <= 4 * 255 for q in message.questions)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
