"""The cluster's objects."""

from __future__ import annotations

from pydantic import BaseModel, Field


class InventoryNode(BaseModel):
    name: str
    zone: str | None
    region: str | None
    ips: list[str]


class InventoryPort(BaseModel):
    port: int
    protocol: str
    name: str | None = None
    target_port: int | str | None = None


class InventoryService(BaseModel):
    namespace: str
    name: str
    type: str
    cluster_ips: list[str]
    ports: list[InventoryPort]


class InventoryPod(BaseModel):
    namespace: str
    name: str
    uid: str | None
    workload: str
    workload_kind: str
    node: str | None
    zone: str | None
    ips: list[str]
    host_network: bool
    phase: str | None


class InventoryWorkload(BaseModel):
    namespace: str
    kind: str
    name: str
    pods: int


class Inventory(BaseModel):
    """The cluster's objects as the server knows them at `as_of_ns`."""

    as_of_ns: int
    source: str = Field(description="where the objects come from: manifests, lab, bundle or none")
    namespaces: list[str]
    nodes: list[InventoryNode]
    workloads: list[InventoryWorkload]
    pods: list[InventoryPod]
    services: list[InventoryService]
