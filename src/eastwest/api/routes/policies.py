"""Policies that a range's traffic asks for: beside the current ones, on the map, and as a folder."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from eastwest.api.answers import policies as answers
from eastwest.api.archive import zipped
from eastwest.api.asked import json_response, range_of, window_of
from eastwest.api.learning import Learned, learn
from eastwest.api.models.policies import Policies, PolicyEffect
from eastwest.api.parameters import EndText, KnownOnly, Level, StartText, WindowText
from eastwest.api.problems import RESPONSES
from eastwest.api.routes.coverage import coverage_of
from eastwest.api.services import Given, Services
from eastwest.k8s.write import policy_files
from eastwest.policy import Options
from eastwest.query.errors import ParameterError
from eastwest.query.views import namespaces

router = APIRouter(tags=["policies"])
OneNamespace = Annotated[str | None, Query(description="only workloads of this namespace")]
LIVE_NS = 30_000_000_000
"""How long an answer about the live present may be old when no batch arrived since."""


def _learned(
    services: Services, namespace: str | None, window: str | None, start: str | None, end: str | None
) -> Learned:
    namespaces(namespace)
    if namespace and "," in namespace:
        raise ParameterError("namespace", "policies are generated for one namespace, or for all without it")
    range_ = range_of(services, window, start, end)
    settings = services.enforcement.settings.snapshot() if services.enforcement is not None else None
    revision = settings.revision if settings is not None else 0
    stamp = (services.inventory.revision, revision, services.last_batch_ns(), services.now_ns() // LIVE_NS)
    return services.learned.get(
        (namespace, window, start, end, *stamp),
        lambda: learn(
            services.store,
            services.inventory,
            range_,
            services.recorded_coverage if services.recording else coverage_of(services, range_).model_dump(),
            namespace or None,
            Options(posture=settings.postures) if settings is not None else None,
        ),
    )


@router.get(
    "/api/v1/policies",
    operation_id="policies",
    response_model=Policies,
    responses=RESPONSES,
    dependencies=[KnownOnly],
)
def policies(
    services: Given,
    namespace: OneNamespace = None,
    window: WindowText = None,
    start: StartText = None,
    end: EndText = None,
) -> Response:
    """Per workload how it was watched, its generated and current policies, and what changes between them."""
    learned = _learned(services, namespace, window, start, end)
    return json_response(answers.policies(learned.proposal, window_of(services, learned.range)))


@router.get(
    "/api/v1/policies/effect",
    operation_id="policyEffect",
    response_model=PolicyEffect,
    responses=RESPONSES,
    dependencies=[KnownOnly],
)
def effect(
    services: Given,
    set: Annotated[Literal["current", "generated"], Query(description="which policies are in force")] = "generated",
    namespace: OneNamespace = None,
    level: Level = "workload",
    window: WindowText = None,
    start: StartText = None,
    end: EndText = None,
) -> Response:
    """What a set of policies does to every edge of the service map, and which permissions nothing used."""
    learned = _learned(services, namespace, window, start, end)
    return json_response(answers.effect(learned.proposal, set, level, window_of(services, learned.range)))


@router.get(
    "/api/v1/policies/download",
    operation_id="policyDownload",
    response_class=Response,
    responses={**RESPONSES, 200: {"content": {"application/zip": {}}, "description": "<namespace>/*.yaml"}},
    dependencies=[KnownOnly],
)
def download(
    services: Given,
    namespace: OneNamespace = None,
    window: WindowText = None,
    start: StartText = None,
    end: EndText = None,
    accept_gaps: Annotated[bool, Query(description="go on although coverage is incomplete")] = False,
) -> Response:
    """The generated policies as `eastwest policy generate` writes them: a folder per namespace, as a zip."""
    proposal = _learned(services, namespace, window, start, end).proposal
    if proposal.gaps and not accept_gaps:
        raise ParameterError(
            "accept_gaps", f"coverage is incomplete ({proposal.gaps[0]}); accept_gaps=true goes on all the same"
        )
    body = zipped(policy_files(proposal.generated.policies))
    name = f"policies-{namespace}.zip" if namespace else "policies.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, media_type="application/zip", headers=headers)
