"""Who may speak."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from eastwest.runtime.tokens import agent_token, bearer, load_api_token, load_secret, speaks_for

SECRET = b"x" * 32


def test_a_token_speaks_for_its_node_only() -> None:
    token = agent_token(SECRET, "c1", "node-a")
    assert speaks_for(SECRET, token, "c1", "node-a")
    for cluster, node in (("c1", "node-b"), ("c2", "node-a"), ("c1/node-a", ""), ("", "c1/node-a")):
        assert not speaks_for(SECRET, token, cluster, node)
    assert not speaks_for(b"y" * 32, token, "c1", "node-a")


@pytest.mark.parametrize(("cluster", "node"), [("a/b", "c"), ("a", "b/c"), ("", "a"), ("a", "")])
def test_names_that_could_be_mistaken_have_no_token(cluster: str, node: str) -> None:
    with pytest.raises(ValueError, match="without a slash"):
        agent_token(SECRET, cluster, node)


def test_the_secret_is_made_once_for_the_owner_only(tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(load_secret(tmp_path / "data"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert (tmp_path / "data" / "secret").stat().st_mode & 0o777 == 0o600
    assert len(list((tmp_path / "data").iterdir())) == 1


def test_the_api_token_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "token"
    assert load_api_token(path) == load_api_token(path)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", None), ("Bearer", None), ("", None), (None, None)],
)
def test_bearer(header: str | None, token: str | None) -> None:
    assert bearer(header) == token
