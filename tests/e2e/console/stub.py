"""A shop as the API describes it: real models, invented figures. Serves the built console for states no recording has."""

from __future__ import annotations

import asyncio
import random
import re
import sys
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.middleware.base import RequestResponseEndpoint

from eastwest.api.console import add_console
from eastwest.api.models.coverage import Coverage, HookReport, Loss, NodeCoverage
from eastwest.api.models.filters import FilterCheck, FilterIssue
from eastwest.api.models.flows import FlowPage, FlowRow
from eastwest.api.models.problem import Problem
from eastwest.api.models.servicemap import MapEdge, MapNode, ServiceMap
from eastwest.api.models.session import Login
from eastwest.api.models.window import Window

END_NS = 1_763_820_000_000_000_000
ZONES = ("eu-west-1a", "eu-west-1b", "eu-west-1c")
SHOP = [
    ("internet:internet", "ui/ui", "TCP", 8080, "ui", 80, 42_000_000),
    ("ui/ui", "catalog/catalog", "TCP", 8080, "catalog", 80, 1_200_000),
    ("ui/ui", "carts/carts", "TCP", 8080, "carts", 80, 890_000),
    ("ui/ui", "checkout/checkout", "TCP", 8080, "checkout", 80, 450_000),
    ("ui/ui", "orders/orders", "TCP", 8080, "orders", 80, 77_000),
    ("checkout/checkout", "orders/orders", "TCP", 8080, "orders", 80, 310_000),
    ("catalog/catalog", "catalog/catalog-mysql", "TCP", 3306, "catalog-mysql", 3306, 9_400_000),
    ("carts/carts", "carts/carts-dynamodb", "TCP", 8000, "carts-dynamodb", 8000, 2_100_000),
    ("checkout/checkout", "checkout/checkout-redis", "TCP", 6379, "checkout-redis", 6379, 120_000),
    ("orders/orders", "orders/orders-postgresql", "TCP", 5432, "orders-postgresql", 5432, 5_200_000),
    ("orders/orders", "orders/orders-rabbitmq", "TCP", 5672, "orders-rabbitmq", 5672, 640_000),
    ("orders/orders", "aws:S3:eu-west-1", "TCP", 443, None, None, 15_700_000),
    *((f"{ns}/{ns}", "kube-system/coredns", "UDP", 53, "kube-dns", 53, 24_000) for ns in ("ui", "catalog", "carts", "checkout", "orders")),
    *((f"node:node-{z}", f"{ns}/{ns}", "TCP", 8080, None, None, 6_000) for z, ns in zip("abcab", ("ui", "catalog", "carts", "checkout", "orders"), strict=True)),
]  # fmt: skip


def node(id_: str) -> MapNode:
    base: dict[str, Any] = {"id": id_, "namespace": None, "zone": None}
    if id_.startswith("internet:"):
        return MapNode(**base, kind="internet", name="internet")
    if id_.startswith("node:"):
        return MapNode(**{**base, "zone": f"eu-west-1{id_[-1]}"}, kind="node", name=id_[5:])
    if id_.startswith("aws:"):
        return MapNode(**base, kind="aws", name=id_.split(":")[1], region=id_.split(":")[2])
    namespace, name = id_.split("/")
    stateful = any(word in name for word in ("mysql", "postgresql", "rabbitmq"))
    return MapNode(
        **{**base, "namespace": namespace, "zone": ZONES[len(name) % 3]}, kind="workload", name=name,
        workload=name, workload_kind="StatefulSet" if stateful else "Deployment", pods=1 if stateful else 2,
    )  # fmt: skip


def edge(line: tuple[Any, ...]) -> MapEdge:
    source, target, protocol, port, service, service_port, size = line
    return MapEdge(
        source=source, target=target, protocol=protocol, dst_port=port, service=service,
        service_namespace=target.split("/")[0] if service else None, service_port=service_port,
        bytes_forward=size // 6, bytes_reverse=size - size // 6, packets_forward=size // 900, packets_reverse=size // 800,
        segments_forward=size // 880, segments_reverse=size // 700, connections=size // 20_000, connections_established=size // 20_000,
        first_seen_ns=END_NS - 880_000_000_000, last_seen_ns=END_NS - 2_000_000_000, reporter="client", role_source="handshake",
        category="intra_zone", retransmits=size // 100_000, retransmits_established=size // 100_000, resets=0, rtt_min_us=90,
        rtt_p50_us=140.0, rtt_p99_us=2_300.0, connection_failures=0, drops=0,
    )  # fmt: skip


def big(workloads: int = 300, edges: int = 2000) -> list[tuple[Any, ...]]:
    """A large cluster, the same every time."""
    dice = random.Random(7)
    names = [f"team-{i % 25}/service-{i}" for i in range(workloads)]
    ends: set[tuple[str, str, int]] = set()
    while len(ends) < edges:
        source, target = dice.sample(names, 2)
        ends.add((source, target, dice.choice((8080, 9090, 5432))))
    return [(*pair[:2], "TCP", pair[2], None, None, int(dice.lognormvariate(11, 3)) + 60) for pair in sorted(ends)]


def coverage(window: Window, silent: bool = False) -> Coverage:
    def books(letter: str) -> NodeCoverage:
        quiet = silent and letter == "c"
        return NodeCoverage(
            node=f"node-{letter}", state="silent" if quiet else "reporting", last_window_end_ns=END_NS,
            hook_bytes=26_000_000, hook_packets=31_000, recorded_bytes=25_300_000 if quiet else 26_000_000, recorded_packets=31_000,
            lost={"map_full": Loss(bytes=700_000, packets=800)} if quiet else {}, unexplained_bytes=0, unexplained_packets=0,
            hooks=[HookReport(name="tcx", state="on")],
        )  # fmt: skip

    sentences = (
        ["node-c has not reported for 45 s.", "node-c lost 700 kB because its flow map was full."] if silent else []
    )
    return Coverage(
        window=window, complete=not silent, ratio=0.9923 if silent else 1.0, hook_bytes=78_000_000, recorded_bytes=77_400_000 if silent else 78_000_000,
        unexplained_bytes=0, unexplained_packets=0, nodes=[books(letter) for letter in "abc"], sentences=sentences,
    )  # fmt: skip


def row(line: tuple[Any, ...], index: int) -> FlowRow:
    ends: dict[str, Any] = {}
    for side, id_ in (("src", line[0]), ("dst", line[1])):
        n = node(id_)
        pod = f"{n.name}-7d4f9c-{index:03d}" if n.kind == "workload" else None
        ends |= {
            f"{side}_kind": "pod" if n.kind == "workload" else n.kind, f"{side}_namespace": n.namespace, f"{side}_workload": n.workload,
            f"{side}_workload_kind": n.workload_kind, f"{side}_pod": pod, f"{side}_node": "node-a" if pod else None,
            f"{side}_zone": n.zone, f"{side}_region": n.region, f"{side}_aws_service": n.name if n.kind == "aws" else None,
            f"{side}_dns_name": None, f"{side}_ip": f"10.0.{len(n.name)}.{index + 1}", f"{side}_named_by": "pod_uid" if pod else None,
        }  # fmt: skip
    e = edge(line).model_dump(exclude={"source", "target", "dst_dns_name"})
    service_ip = "10.96.0.10" if e["service"] else None
    return FlowRow(
        **ends,
        **e,
        zone_pair=None,
        service_ip=service_ip,
        wire_bytes_forward=e["bytes_forward"],
        wire_bytes_reverse=e["bytes_reverse"],
    )


def keep(flow: FlowRow, text: str) -> bool:
    terms = re.findall(r"(\w+)=([\w./-]+)", text)
    return all(str(getattr(flow, word)) == value for word, value in terms)


def view_of(flow: FlowRow) -> str:
    kinds = {flow.src_kind, flow.dst_kind}
    return "aws" if "aws" in kinds else "external" if kinds & {"internet", "unknown"} else "cluster"


def create_app(lines: list[tuple[Any, ...]] = SHOP, silent: bool = False) -> FastAPI:
    app = FastAPI()

    def window(request: Request) -> Window:
        seconds = {"5m": 300, "15m": 900, "1h": 3600}.get(request.query_params.get("window", ""), 900)
        return Window(start_ns=END_NS - seconds * 10**9, end_ns=END_NS)

    @app.get("/api/v1/service-map")
    def service_map(request: Request) -> ServiceMap:
        namespace = request.query_params.get("namespace")
        chosen = [line for line in lines if not namespace or any(end.startswith(f"{namespace}/") for end in line[:2])]
        ids = sorted({end for line in chosen for end in line[:2]})
        level = "pod" if request.query_params.get("level") == "pod" else "workload"
        return ServiceMap(window=window(request), level=level, nodes=[node(i) for i in ids], edges=[edge(line) for line in chosen], coverage=coverage(window(request), silent))  # fmt: skip

    @app.get("/api/v1/flows", response_model=FlowPage)
    def flows(request: Request) -> Any:
        query = request.query_params
        rows = [r for r in (row(line, i) for i, line in enumerate(lines)) if view_of(r) == query.get("view", view_of(r)) and keep(r, query.get("filter", ""))]  # fmt: skip
        sort = query.get("sort", "-bytes_forward")
        if sort.lstrip("-") not in FlowRow.model_fields:
            problem = Problem(title="bad parameter", detail=f"{sort!r} is not a column", status=400, parameter="sort")
            return JSONResponse(problem.model_dump(exclude_none=True), 400)
        rows.sort(key=lambda r: (getattr(r, sort.lstrip("-")) is not None, getattr(r, sort.lstrip("-")) or 0), reverse=sort.startswith("-"))  # fmt: skip
        start, limit = int(query.get("cursor") or 0), int(query.get("limit", 100))
        return FlowPage(window=window(request), rows=rows[start : start + limit], next_cursor=str(start + limit) if start + limit < len(rows) else None, total=len(rows))  # fmt: skip

    @app.get("/api/v1/filter/complete")
    def complete(filter: str = "", cursor: int | None = None) -> FilterCheck:
        bad = re.search(r"\bnonsense\b", filter)
        error = FilterIssue(message="unknown word nonsense", position=bad.start(), end=bad.end()) if bad else None
        begin = re.search(r"[\w]*$", filter[:cursor])
        words = [w for w in FlowRow.model_fields if w.startswith(begin.group() if begin else "")]
        return FilterCheck(error=error, completions=words[:12], replace_from=begin.start() if begin else 0)

    @app.get("/api/v1/coverage")
    def books(request: Request) -> Coverage:
        return coverage(window(request), silent)

    @app.get("/api/v1/inventory")
    def inventory() -> JSONResponse:
        namespaces = sorted({end.split("/")[0] for line in lines for end in line[:2] if "/" in end})
        return JSONResponse({"as_of_ns": END_NS, "source": "lab", "namespaces": namespaces, "nodes": [], "workloads": [], "pods": [], "services": []})  # fmt: skip

    @app.get("/api/v1/events")
    async def events() -> StreamingResponse:
        async def stream() -> AsyncIterator[str]:
            while True:
                yield 'event: flows\ndata: {"window_end_ns": 0, "rows": 1, "batches": 1, "nodes": 3}\n\n'
                await asyncio.sleep(5)

        return StreamingResponse(stream(), media_type="text/event-stream")

    @app.post("/api/v1/session")
    def sign_in(login: Login) -> JSONResponse:
        if login.token != "sesame":
            return JSONResponse(
                {"title": "token required", "detail": "this is not the server's token", "status": 401}, 401
            )
        answer = JSONResponse({"token_required": True, "signed_in": True})
        answer.set_cookie("stub", "open", httponly=True, samesite="strict")
        return answer

    add_console(app)
    return app


def ask_for_token(app: FastAPI) -> FastAPI:
    """Refuse every question of `app` until its cookie is there."""

    @app.middleware("http")
    async def check(request: Request, call_next: RequestResponseEndpoint) -> Response:
        path = request.url.path
        if path.startswith("/api/") and path != "/api/v1/session" and "stub" not in request.cookies:
            return JSONResponse({"title": "token required", "detail": "send the token", "status": 401}, 401)
        return await call_next(request)

    return app


VARIANTS = {"shop": SHOP, "big": big(), "silent": SHOP, "token": SHOP, "nothing": []}

if __name__ == "__main__":
    import uvicorn

    _, port, variant = sys.argv
    served = create_app(VARIANTS[variant], silent=variant == "silent")
    uvicorn.run(ask_for_token(served) if variant == "token" else served, port=int(port), log_level="warning")
