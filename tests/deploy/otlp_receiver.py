"""An OTLP/HTTP receiver as a process of its own: decodes with opentelemetry-proto and writes what it got as JSON lines.

    python otlp_receiver.py FILE [STATUS …]

Prints its port. Each STATUS is answered once, in order, before everything is accepted; "partial" rejects one item,
"503:2" asks to come back after 2 seconds.
"""

from __future__ import annotations

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics

KINDS = {
    "/v1/logs": (logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse, "rejected_log_records"),
    "/v1/metrics": (metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse, "rejected_data_points"),
}


def main(file: Path, answers: list[str]) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request_type, response_type, rejected = KINDS[self.path]
            answer = answers.pop(0) if answers else "200"
            response = response_type()
            if answer == "partial":
                setattr(response.partial_success, rejected, 1)
                answer = "200"
            if answer == "200":
                assert self.headers["Content-Type"] == "application/x-protobuf"
                message = request_type.FromString(gzip.decompress(body))
                line = json.dumps({"path": self.path, "message": MessageToDict(message)})
                with file.open("a") as out:
                    out.write(line + "\n")
            payload = response.SerializeToString() if answer == "200" else b""
            status, _, retry_after = answer.partition(":")
            self.send_response(int(status))
            if retry_after:
                self.send_header("Retry-After", retry_after)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
