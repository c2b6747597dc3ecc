"""A lab on real packets: one for the whole module, a scenario that the lab has never seen."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eastwest.lab import cgroups
from eastwest.lab.runtime import Lab

pytestmark = pytest.mark.root

SCENARIO = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: example/web
        ports:
        - {name: http, containerPort: 8080}
        - {name: echo, containerPort: 7000, protocol: UDP}
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: http}
  - {name: echo, port: 7, targetPort: echo, protocol: UDP}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: client, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client}}
    spec:
      containers:
      - {name: client, image: example/client}
"""


def until(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    """Whether `condition` became true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture(scope="module")
def run_dir() -> Iterator[Path]:
    """A short folder (Unix socket names are limited) that every lab of this module lives in."""
    folder = Path(f"/tmp/ew-{os.getpid()}")
    old = os.environ.get("EASTWEST_RUN_DIR")
    os.environ["EASTWEST_RUN_DIR"] = str(folder)
    yield folder
    if old is None:
        del os.environ["EASTWEST_RUN_DIR"]
    else:
        os.environ["EASTWEST_RUN_DIR"] = old
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("scenario") / "shop.yaml"
    file.write_text(SCENARIO)
    return file


@pytest.fixture(scope="module")
def lab(run_dir: Path, manifests: Path) -> Iterator[Lab]:
    made = Lab.up([manifests], f"t{os.getpid()}")
    yield made
    made.down()


@pytest.mark.parametrize("family", [4, 6])
def test_a_service_port_reaches_the_named_target_port(lab: Lab, family: int) -> None:
    assert lab.probe("shop/client", "svc:shop/web:80/TCP", family).reachable
    assert lab.probe("shop/client", "svc:shop/web:7/UDP", family).reachable
    assert not lab.probe("shop/client", "svc:shop/web:8080/TCP", family).reachable


@pytest.mark.parametrize("family", [4, 6])
def test_a_probe_tells_refused_from_timeout(lab: Lab, family: int) -> None:
    assert lab.probe("shop/client", "shop/web:8080/TCP", family).reachable
    assert lab.probe("shop/client", "shop/web:8081/TCP", family).reason == "refused"
    lab.exec("shop", "web", ["true"])


def test_down_leaves_nothing(run_dir: Path, manifests: Path) -> None:
    before = Path("/proc/self/mounts").read_text()
    made = Lab.up([manifests], f"d{os.getpid()}")
    root = cgroups.lab_root(made.files.name)
    assert len(cgroups.processes(root)) > 10
    made.down()
    assert not root.exists()
    assert not made.files.folder.exists()
    assert Path("/proc/self/mounts").read_text() == before
