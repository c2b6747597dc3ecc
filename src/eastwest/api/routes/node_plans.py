"""The agents' half of enforcement: GET a node's plan (a long poll) and POST what is in force, with the node's own token.

Waiting costs no thread: any number of agents wait on one topic. docs/enforcement.md, "Delivery".
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from eastwest.enforce.offers import Have, Offer
from eastwest.enforce.planner import Planner
from eastwest.enforce.realised import Register
from eastwest.runtime.tokens import bearer, speaks_for
from eastwest.wire import realised as wire
from eastwest.wire.plan import CONTENT_TYPE, KIND_HEADER, plan_path, realised_path
from eastwest.wire.plan_rows import PlanError

LONGEST_WAIT_S: Final = 60.0
PLAN_ROUTE: Final = plan_path("NODE").replace("NODE", "{node}")
REALISED_ROUTE: Final = realised_path("NODE").replace("NODE", "{node}")


def node_router(planner: Planner, register: Register, secret: bytes) -> APIRouter:
    """The routes of one server. Every refusal is plain text for the agent's log."""
    router = APIRouter()

    async def plan(
        node: str,
        cluster: str,
        have: str | None = None,
        wait: Annotated[float, Query(ge=0)] = 0,
        authorization: Annotated[str | None, Header()] = None,
    ) -> Response:
        refused = _refused(secret, authorization, cluster, node)
        if refused is not None:
            return refused
        try:
            held = Have.parse(have) if have is not None else None
        except ValueError as error:
            return _answer(400, str(error))
        offer = await _news(planner, node, held, min(wait, LONGEST_WAIT_S))
        if offer is None:
            return Response(status_code=204)
        return Response(offer.body, headers={KIND_HEADER: offer.kind}, media_type=CONTENT_TYPE)

    async def realised(
        node: str, cluster: str, request: Request, authorization: Annotated[str | None, Header()] = None
    ) -> Response:
        refused = _refused(secret, authorization, cluster, node)
        if refused is not None:
            return refused
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > wire.LIMIT_BYTES:
                return _answer(413, f"the body is longer than {wire.LIMIT_BYTES} bytes")
        try:
            told = await run_in_threadpool(wire.from_json, bytes(body))
        except PlanError as error:
            return _answer(422, str(error))
        if told.node != node:
            return _answer(403, f"this token speaks for {node}, not for {told.node}")
        register.tell(told)
        planner.capacity(node, told.limits)
        return Response(status_code=204)

    router.add_api_route(PLAN_ROUTE, plan, methods=["GET"], include_in_schema=False)
    router.add_api_route(REALISED_ROUTE, realised, methods=["POST"], include_in_schema=False)
    return router


async def _news(planner: Planner, node: str, have: Have | None, wait_s: float) -> Offer | None:
    """The node's newest plan as soon as it differs from what the agent has; None when it did not in time."""
    end = asyncio.get_running_loop().time() + wait_s
    async with planner.news.subscribe() as news:
        while True:
            if planner.offers.has_news(node, have):
                offer = await run_in_threadpool(planner.offers.offer, node, have)
                if offer is not None:
                    return offer
            try:
                changed = await asyncio.wait_for(news.get(), end - asyncio.get_running_loop().time())
            except TimeoutError:
                return None
            if changed is None:  # the server is ending
                return None


def _refused(secret: bytes, authorization: str | None, cluster: str, node: str) -> Response | None:
    token = bearer(authorization)
    if token is None:
        return _answer(401, "a token is needed")
    if not speaks_for(secret, token, cluster, node):
        return _answer(403, f"this token does not speak for {node} of {cluster}")
    return None


def _answer(status: int, text: str) -> Response:
    return Response(text + "\n", status, media_type="text/plain")
