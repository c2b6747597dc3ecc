"""A user's own ClickHouse as the engine: `clickhouse://user:password@host:8443/database?secure=true`.

The same statements as the embedded engine, over HTTP, one client per thread. Reads are tried again once: a server that
dies in the middle answers with an error, its replica behind the same address does not.
"""

from __future__ import annotations

import threading
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa

from eastwest.store.errors import StoreRefusedError, StoreUnavailableError
from eastwest.store.parts import Part
from eastwest.store.protocol import Status
from eastwest.store.statement import Statement

ENGINE: Final = "clickhouse"
_PORTS: Final = {False: 8123, True: 8443}


def connection(url: str) -> dict[str, Any]:
    """What the client library is given for a URL. Raises ValueError that says what is wrong."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    secure = options.pop("secure", "false").lower() in ("1", "true", "yes")
    if parts.scheme != "clickhouse" or not parts.hostname or options:
        unknown = f"; unknown options: {', '.join(options)}" if options else ""
        raise ValueError(f"expected clickhouse://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE][?secure=true]{unknown}")
    return {
        "host": parts.hostname,
        "port": parts.port or _PORTS[secure],
        "username": unquote(parts.username or "default"),
        "password": unquote(parts.password or ""),
        "database": parts.path.strip("/") or "default",
        "secure": secure,
    }


class RemoteEngine:
    """An Engine that somebody else runs."""

    def __init__(self, url: str) -> None:
        self._options = connection(url)
        self._local = threading.local()
        self._reason: str | None = "not started"

    def start(self) -> None:
        """See Engine."""
        self.query(Statement("SELECT 1"))

    def stop(self) -> None:
        """See Engine. Connections close with their threads."""

    def status(self) -> Status:
        """See Store."""
        return Status(self._reason is None, ENGINE, 0, self._reason)

    def query(self, statement: Statement) -> pa.Table:
        """See Engine."""
        try:
            return self._query(statement)
        except StoreUnavailableError:
            return self._query(statement)

    def command(self, statement: Statement) -> None:
        """See Engine."""
        self._run(lambda client: client.command(statement.sql, parameters=statement.parameters or None))

    def insert(self, part: Part) -> None:
        """See Engine."""
        settings = {"insert_deduplication_token": part.token}
        self._run(lambda client: client.insert_arrow(part.table, part.rows, settings=settings))

    def _query(self, statement: Statement) -> pa.Table:
        answer = self._run(lambda c: c.query_arrow(statement.sql, statement.parameters or None, use_strings=True))
        assert isinstance(answer, pa.Table)
        return answer

    def _run(self, call: Any) -> Any:
        import clickhouse_connect  # only where a remote store is used
        from clickhouse_connect.driver.exceptions import DatabaseError, Error

        try:
            if not hasattr(self._local, "client"):
                self._local.client = clickhouse_connect.get_client(**self._options, autogenerate_session_id=False)
            answer = call(self._local.client)
        except DatabaseError as error:
            self._reason = None
            raise StoreRefusedError(str(error)[:2000]) from error
        except (Error, OSError) as error:
            self._local.__dict__.clear()
            self._reason = f"{self._options['host']}:{self._options['port']}: {str(error)[:300]}"
            raise StoreUnavailableError(self._reason) from error
        self._reason = None
        return answer
