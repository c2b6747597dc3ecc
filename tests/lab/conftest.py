"""One lab for the tests that only look at it or change what is their own; helpers to wait on a condition."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from eastwest.lab.runtime import Lab

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
        - {name: signal, containerPort: 38412, protocol: SCTP}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: NodePort
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: http}
  - {name: echo, port: 7, targetPort: echo, protocol: UDP}
  - {name: signal, port: 9000, targetPort: signal, protocol: SCTP}
---
apiVersion: v1
kind: Service
metadata: {name: web-peers, namespace: shop}
spec:
  clusterIP: None
  selector: {app: web}
  ports:
  - {name: http, port: 8080}
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
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: moody, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: moody}}
  template:
    metadata:
      labels: {app: moody}
    spec:
      containers:
      - name: moody
        image: example/moody
        command: [python3, -c, "$(PROGRAM)"]
        env:
        - name: FOLDER
          value: "@FOLDER@"
        - name: PROGRAM
          value: |
            import http.server, os
            class Moody(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    bad = os.path.exists(os.environ["FOLDER"] + self.path)
                    self.send_response(500 if bad else 200)
                    self.end_headers()
            http.server.HTTPServer(("", 8080), Moody).serve_forever()
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /unready, port: http}, periodSeconds: 1, failureThreshold: 1}
        livenessProbe: {httpGet: {path: /sick, port: http}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Service
metadata: {name: moody, namespace: shop}
spec:
  selector: {app: moody}
  ports: [{port: 80, targetPort: http}]
"""


@pytest.fixture(scope="session")
def run_dir() -> Iterator[Path]:
    """A short folder (names of Unix sockets are limited) in which every lab of these tests lives."""
    folder = Path(f"/tmp/ew-{os.getpid()}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EASTWEST_RUN_DIR", str(folder))
        yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def moods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files `unready` and `sick` here change the mood of the pod `moody`."""
    return tmp_path_factory.mktemp("moods")


@pytest.fixture(scope="session")
def manifest(moods: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scenario that the lab's code has never seen."""
    file = tmp_path_factory.mktemp("scenario") / "shop.yaml"
    file.write_text(SCENARIO.replace("@FOLDER@", str(moods)))
    return file


@pytest.fixture(scope="session")
def lab(run_dir: Path, manifest: Path) -> Iterator[Lab]:
    made = Lab.up([manifest], f"t{os.getpid()}")
    yield made
    made.down()
