"""`eastwest server`: receive, name, keep and serve flows; the web console."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from eastwest.cli._parser import examples_of
from eastwest.runtime.paths import DEFAULT_LISTEN, state_dir

if TYPE_CHECKING:
    from eastwest.cli._assembly import Site
    from eastwest.model.prices import PriceTable

EXAMPLES = """examples:
  eastwest server --manifests k8s/                     name flows by these manifests
  eastwest server --lab demo                           the lab's running pods
  eastwest server --bundle evidence/                   look at a recording
  eastwest server --prices prices.json                 what cross-zone traffic costs you
  eastwest server --listen 0.0.0.0:7420                other machines may ask, with a token
  eastwest server token --cluster prod --node node-a   the token of that node's agent
"""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(text: str) -> int:
    if text[-1:] not in _UNITS or not text[:-1].isdecimal() or int(text[:-1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number with s, m, h or d, such as 24h")
    return int(text[:-1]) * _UNITS[text[-1]]


def _folder(text: str) -> Path:
    """A folder from the root on: the store's process takes a relative one for another place."""
    return Path(text).absolute()


def _add_data(parser: argparse.ArgumentParser, default: object) -> None:
    parser.add_argument(
        "--data", type=_folder, metavar="DIR", default=default, help=f"where everything is kept (default {state_dir()})"
    )


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("--listen", default=DEFAULT_LISTEN, metavar="HOST:PORT", help=f"default {DEFAULT_LISTEN}")
    parser.add_argument("--ingest-socket", type=Path, metavar="PATH", help="also listen on this Unix socket")
    _add_data(parser, state_dir())
    objects = parser.add_mutually_exclusive_group()
    objects.add_argument(
        "--manifests",
        type=Path,
        metavar="DIR",
        help="cluster objects from a folder, read again when a file in it changes",
    )
    objects.add_argument("--lab", metavar="NAME", help="cluster objects from a running lab")
    objects.add_argument("--bundle", type=Path, metavar="DIR|FILE.zip", help="play an evidence bundle; takes no flows")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="ask for the API token in this file (made if missing)"
    )
    parser.add_argument(
        "--retention", type=_seconds, default="24h", metavar="TIME", help="single records (default 24h)"
    )
    parser.add_argument(
        "--rollup-retention", type=_seconds, default="7d", metavar="TIME", help="sums per minute (default 7d)"
    )
    parser.add_argument(
        "--store", metavar="URL", help="a ClickHouse to use instead of the embedded one: clickhouse://…"
    )
    parser.add_argument("--memory", type=int, default=1024, metavar="MIB", help="the store's limit (default 1024)")
    parser.add_argument(
        "--otlp", metavar="URL", help="also send metrics and flows to this OTLP/HTTP receiver: http://collector:4318"
    )
    parser.add_argument(
        "--metric-pairs",
        type=int,
        default=2000,
        metavar="N",
        help="workload pairs with series of their own in /api/v1/metrics; the rest add up in __other__ (default 2000)",
    )
    parser.add_argument(
        "--prices", type=Path, metavar="FILE", help="what a GB costs, dated (JSON); default: an example to be checked"
    )
    parser.add_argument(
        "--aws-ranges",
        metavar="FILE|URL",
        help="Amazon's published ip-ranges.json, read again when it changes (a URL every hour); default: a copy in the "
        "package. A copy that is damaged, shrunk or older is not used",
    )
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    actions = parser.add_subparsers(dest="action", metavar="[token]")
    token = actions.add_parser("token", help="print the token of one node's agent", epilog=examples_of(EXAMPLES, "eastwest server token"), formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    token.add_argument("--cluster", required=True, metavar="NAME", help="as the agent's --cluster")
    token.add_argument("--node", required=True, metavar="NAME", help="as the agent's --node")
    _add_data(token, argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    if args.action == "token":
        return _token(args)
    return _serve(args)


def _fail(message: object) -> int:
    print(f"eastwest server: {message}", file=sys.stderr)
    return 2


def _token(args: argparse.Namespace) -> int:
    from eastwest.runtime.tokens import agent_token, load_secret

    try:
        print(agent_token(load_secret(args.data), args.cluster, args.node))
    except (OSError, ValueError) as error:
        return _fail(error)
    return 0


def _api_token(args: argparse.Namespace, loopback: bool) -> str | None:
    """The token that askers must show; None where only this machine can ask."""
    from eastwest.runtime.tokens import API_TOKEN_FILE, load_api_token

    if args.token_file is None and loopback:
        return None
    path = args.token_file or args.data / API_TOKEN_FILE
    token = load_api_token(path)
    print(f"eastwest server: the API asks for the token in {path}: sign in with it in the browser, or", file=sys.stderr)
    print(f"  eastwest map --server http://{args.listen} --token-file {path}", file=sys.stderr)
    return token


def _serve(args: argparse.Namespace) -> int:
    from eastwest.api.starting import Starting
    from eastwest.cli import _serving
    from eastwest.collector.prices import read, shipped
    from eastwest.runtime import log
    from eastwest.store.errors import StoreError
    from eastwest.wire.bundle import BundleError

    if args.manifests is not None and not args.manifests.exists():
        return _fail(f"{args.manifests}: no such file or folder (--manifests)")
    log.set_up(args.log_level)
    try:
        prices = read(args.prices) if args.prices else shipped()
        host, port = _serving.parse_listen(args.listen)
        token = _api_token(args, _serving.is_loopback(host))
        sockets = [_serving.open_tcp(host, port)]
        if args.ingest_socket is not None:
            sockets.append(_serving.open_unix(args.ingest_socket))
        began = time.monotonic()
        address = f"http://{host if ':' not in host else f'[{host}]'}:{sockets[0].getsockname()[1]}"
        starting = Starting(recorded=args.bundle is not None)

        def say(doing: str) -> None:
            starting.doing = doing

        def ready() -> None:
            print(f"eastwest server: {address} (ready in {time.monotonic() - began:.1f} s)", flush=True)

        _serving.serve(_site(args, host, token, prices, say), starting, sockets, ready)
    except (_serving.ListenError, StoreError, BundleError, ValueError, OSError) as error:
        return _fail(error)
    finally:
        if args.ingest_socket is not None and "sockets" in locals() and len(sockets) > 1:
            args.ingest_socket.unlink(missing_ok=True)
    return 0


@contextmanager
def _site(
    args: argparse.Namespace, host: str, token: str | None, prices: PriceTable, say: Callable[[str], None]
) -> Iterator[Site]:
    """Everything behind the sockets; also loaded only when those answer already."""
    say("loading")
    from eastwest.cli._assembly import Settings, assemble
    from eastwest.store.ddl import Keeping

    settings = Settings(
        data=args.data,
        keeping=Keeping(args.retention, args.rollup_retention, args.rollup_retention),
        memory_bytes=args.memory << 20,
        store_url=args.store,
        manifests=args.manifests,
        lab=args.lab,
        bundle=args.bundle,
        token=token,
        host=host,
        otlp=args.otlp,
        metric_pairs=args.metric_pairs,
        prices=prices,
        aws_ranges=args.aws_ranges,
    )
    with assemble(settings, say) as site:
        yield site
