"""Who may speak: one secret per data directory, from it one token per node, and one token for people.

An agent's token is HMAC-SHA256(secret, "cluster/node"), so the server keeps no list and a token speaks for one node only.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

SECRET_FILE: Final = "secret"  # noqa: S105 - a file name
API_TOKEN_FILE: Final = "api-token"  # noqa: S105 - a file name
SECRET_BYTES: Final = 32


def load_secret(data_dir: Path) -> bytes:
    """The secret of a data directory, made on first use (mode 0600). Safe for several processes at once."""
    text = _load_or_make(data_dir / SECRET_FILE, lambda: secrets.token_hex(SECRET_BYTES))
    return bytes.fromhex(text)


def load_api_token(path: Path) -> str:
    """The token for people and programs that ask the API, made on first use (mode 0600)."""
    return _load_or_make(path, lambda: secrets.token_urlsafe(SECRET_BYTES))


def agent_token(secret: bytes, cluster: str, node: str) -> str:
    """The token of one node's agent. Raises ValueError for a name with a slash, which would not be unambiguous."""
    if not cluster or not node or "/" in cluster or "/" in node:
        raise ValueError(f"cluster {cluster!r} and node {node!r} must be names without a slash")
    return hmac.new(secret, f"{cluster}/{node}".encode(), hashlib.sha256).hexdigest()


def speaks_for(secret: bytes, token: str, cluster: str, node: str) -> bool:
    """Whether `token` is that node's; takes the same time for every wrong token."""
    try:
        expected = agent_token(secret, cluster, node)
    except ValueError:
        return False
    return same(token, expected)


def same(given: str, expected: str) -> bool:
    """Constant-time comparison of two tokens."""
    return hmac.compare_digest(given.encode(), expected.encode())


def bearer(authorization: str | None) -> str | None:
    """The token in an Authorization header (RFC 6750 section 2.1), if it holds one."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _load_or_make(path: Path, make: Callable[[], str]) -> str:
    if path.exists():
        return path.read_text().strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(f"{make()}\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # whoever links first wins; the others read the winner's
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text().strip()
