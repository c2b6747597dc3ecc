"""Puts a server together from its settings: live (store, collector, inventory) or from an evidence bundle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from fastapi import FastAPI

from eastwest.api.app import create_app
from eastwest.api.auth import LOOPBACK, Authorised
from eastwest.api.routes.metrics import metrics_router, names_router
from eastwest.api.routes.node_plans import node_router
from eastwest.api.services import Enforcement, Services
from eastwest.collector.counts import Counts
from eastwest.collector.feed import InventoryFeed
from eastwest.collector.journal import Journal
from eastwest.collector.metrics import all_of, exposer, own_families
from eastwest.collector.otlp import OtlpExport
from eastwest.collector.ranges.refresh import RangesFeed
from eastwest.collector.routes import ingest_router
from eastwest.collector.writer import Tap, Writer
from eastwest.enforce.metrics import families as enforcement_families
from eastwest.enforce.planner import Planner
from eastwest.enforce.realised import InForce, Register
from eastwest.enforce.rollout.driver import Rollouts
from eastwest.enforce.rollout.metrics import families as rollout_families
from eastwest.enforce.rollout.observe import Observer
from eastwest.enforce.settings import EnforcementSettings
from eastwest.enforce.versions import Versions
from eastwest.k8s.inventory import Inventory
from eastwest.k8s.sources import ManifestSource, Source, WatchLogSource
from eastwest.model.prices import PriceTable
from eastwest.policy.options import Options
from eastwest.query import evidence
from eastwest.query.live import Landed
from eastwest.query.metrics.pairs import DEFAULT_LIMIT
from eastwest.query.metrics.traffic import TrafficMetrics
from eastwest.runtime.lifecycle import Component, Running
from eastwest.runtime.paths import run_dir
from eastwest.runtime.tokens import load_secret
from eastwest.runtime.topic import Topic
from eastwest.store.clickhouse import ClickHouseStore
from eastwest.store.ddl import Keeping
from eastwest.store.embedded import EmbeddedEngine
from eastwest.store.lock import DirectoryLock
from eastwest.store.protocol import Engine
from eastwest.store.remote import RemoteEngine
from eastwest.wire.bundle import read


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line said, checked."""

    data: Path
    keeping: Keeping
    memory_bytes: int
    store_url: str | None = None
    manifests: Path | None = None
    lab: str | None = None
    bundle: Path | None = None
    token: str | None = None
    host: str = "localhost"
    otlp: str | None = None
    metric_pairs: int = DEFAULT_LIMIT
    prices: PriceTable | None = None
    aws_ranges: str | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """A running server without its sockets."""

    app: FastAPI
    landed: Topic[Landed]
    planner: Planner | None = None

    def ending(self) -> None:
        """Let go of everybody who waits for news."""
        self.landed.close()
        if self.planner is not None:
            self.planner.news.close()


Say = Callable[[str], None]


class _Lock:
    """The data directory as a component."""

    def __init__(self, data: Path) -> None:
        self._lock = DirectoryLock(data / "lock", "eastwest server")

    def start(self) -> None:
        self._lock.acquire()

    def stop(self) -> None:
        self._lock.release()


_DOING: Final[Mapping[type, str]] = {
    ClickHouseStore: "opening the store",
    InventoryFeed: "reading the cluster's objects",
    Planner: "compiling policies",
    Writer: "taking up what is in the journal, and which windows are known",
    Rollouts: "taking up the rollout",
}


@contextmanager
def assemble(settings: Settings, say: Say = lambda _: None) -> Iterator[Site]:
    """Start everything behind the sockets; stop it on leaving. `say` hears what is being done. Raises StoreError or
    BundleError."""
    with _recorded(settings, say) if settings.bundle else _live(settings, say) as site:
        yield site


def _saying(say: Say) -> Callable[[Component], None]:
    """Tells of those parts whose start may take its time."""
    return lambda component: say(_DOING[type(component)]) if type(component) in _DOING else None


def _sources(settings: Settings) -> tuple[list[Source], str]:
    """(where the cluster's objects come from, its name for people)."""
    if settings.manifests is not None:
        return [ManifestSource(settings.manifests, time.time_ns)], "manifests"
    if settings.lab is not None:
        return [WatchLogSource(run_dir() / "lab" / settings.lab / "watch.jsonl")], "lab"
    return [], "none"


def _engine(settings: Settings, directory: Path) -> Engine:
    if settings.store_url is not None:
        return RemoteEngine(settings.store_url)
    return EmbeddedEngine(directory / "store", memory_bytes=settings.memory_bytes)


def _options(enforcement: EnforcementSettings) -> Options:
    """How policies are evaluated at present."""
    return Options(posture=enforcement.snapshot().postures)


@contextmanager
def _live(settings: Settings, say: Say) -> Iterator[Site]:
    sources, name = _sources(settings)
    inventory, counts, landed = Inventory(sources), Counts(), Topic[Landed]()
    store = ClickHouseStore(_engine(settings, settings.data), settings.keeping)
    ranges = RangesFeed(settings.aws_ranges, settings.data / "aws-ranges.last")
    feed = InventoryFeed(inventory, settings.keeping.edges_s, ranges.ranges)
    exports: list[OtlpExport] = []
    enforcement = EnforcementSettings(settings.data)
    planner, register = Planner(inventory, enforcement, Versions(settings.data)), Register(time.time_ns)
    feed.subscribe(planner.wake)
    options = partial(_options, enforcement)
    rollouts = Rollouts(
        settings.data, enforcement, Observer(store, inventory, InForce(planner, register), time.time_ns, options)
    )
    traffic = TrafficMetrics(
        settings.metric_pairs, lambda: {k: n for e in exports for k, n in e.counts().items()}, settings.prices
    )
    taps: list[Tap] = [traffic.take]
    writer = Writer(store, Journal(settings.data / "journal"), feed.enrich, landed, counts, taps=taps, learn=feed.learn)
    own = own_families(counts, store, writer, ranges)
    everything = [own, enforcement_families(planner, register), rollout_families(rollouts.view), traffic.write]
    if settings.otlp is not None:
        exports.append(OtlpExport(settings.otlp, all_of(*everything)))
        taps.append(exports[0].take)
    with Running([_Lock(settings.data), ranges, store, feed, planner, *exports, writer, rollouts], _saying(say)):
        services = Services(
            store=store,
            inventory=inventory,
            inventory_source=name,
            clock=time.time_ns,
            landed=landed,
            started_ns=time.time_ns(),
            last_batch_ns=lambda: counts.last_batch_ns,
            troubles=lambda: [f"collector: {t}" for t in (writer.stalled, counts.clock_trouble(time.time_ns())) if t],
            aws_ranges=ranges.used,
            metrics=exposer(own),
            bundle=lambda range_: evidence.bundle(store, inventory, range_, time.time_ns()),
            enforcement=Enforcement(enforcement, planner, register, rollouts.held),
            rollouts=rollouts,
            prices=settings.prices,
            token=settings.token,
            hosts=LOOPBACK | {settings.host, "eastwest"},
        )
        secret = load_secret(settings.data)

        def names_of(node: str, pod_uids: Sequence[str]) -> list[tuple[str, str, str]]:
            book = inventory.naming()
            known = [(uid, book.ends[book.pods_by_uid[uid]]) for uid in pod_uids if uid in book.pods_by_uid]
            return [(uid, e.namespace, e.pod) for uid, e in known if e.node == node and e.namespace and e.pod]

        routers = [
            ingest_router(writer, secret, counts),
            names_router(names_of, secret),
            node_router(planner, register, secret),
            metrics_router(exposer(*everything), [Authorised]),
        ]
        yield Site(create_app(services, routers), landed, planner)


@contextmanager
def _recorded(settings: Settings, say: Say) -> Iterator[Site]:
    assert settings.bundle is not None
    say("reading the evidence bundle")
    played = read(settings.bundle)
    range_ = evidence.span(played)
    inventory, counts, landed = evidence.inventory(played), Counts(), Topic[Landed]()
    with TemporaryDirectory(prefix="eastwest-bundle-") as folder:
        engine = EmbeddedEngine(Path(folder) / "store", memory_bytes=settings.memory_bytes)
        store = ClickHouseStore(engine, Keeping(None, None, None))
        with Running([store], _saying(say)):
            say("playing the evidence bundle into the store")
            for part in evidence.parts(played, InventoryFeed(inventory).enrich):
                store.insert(part)
            services = Services(
                store=store,
                inventory=inventory,
                inventory_source="bundle",
                clock=time.time_ns,
                landed=landed,
                started_ns=time.time_ns(),
                last_batch_ns=lambda: None,
                troubles=list,
                metrics=exposer(own_families(counts, store, None)),
                bundle=lambda asked: evidence.bundle(
                    store, inventory, asked, range_.end_ns, recorded=True, told=played.coverage
                ),
                prices=settings.prices,
                recording=range_,
                recorded_coverage=played.coverage,
                token=settings.token,
                hosts=LOOPBACK | {settings.host, "eastwest"},
            )
            yield Site(create_app(services), landed)
