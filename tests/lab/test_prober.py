"""What a probe says that was late to look, on a machine that had no processor for it."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from eastwest.lab import prober


def test_an_answer_that_came_while_nobody_looked_is_no_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer is there at once; then the prober gets no processor until after the deadline, and the second one comes."""
    finish, answered = prober._finish, threading.Event()

    def held_up(*given: object) -> None:
        if not answered.is_set():
            answered.set()
            time.sleep(0.5)  # the deadline is 0.2 s
        finish(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(prober, "_finish", held_up)
    with socket.create_server(("127.0.0.1", 0)) as at_once, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as later:
        later.bind(("127.0.0.1", 0))

        def echo() -> None:
            data, who = later.recvfrom(2048)
            answered.wait(10)  # not before the first look
            later.sendto(data, who)

        echoing = threading.Thread(target=echo)
        echoing.start()
        cells = [(*at_once.getsockname(), "TCP"), (*later.getsockname(), "UDP")]
        assert prober.run(cells, 0.2) == ["reachable", "reachable"]
        echoing.join()


def test_silence_is_still_a_timeout() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        began = time.monotonic()
        assert prober.run([(*silent.getsockname(), "UDP")], 0.1) == ["timeout"]
        assert time.monotonic() - began >= 0.1
