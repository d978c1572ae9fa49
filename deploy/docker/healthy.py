"""Asks the code server's health service: exit status 0 if it serves.

`dagster api grpc-health-check` asks the same, but loads all of Dagster each time: seconds of CPU.
"""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def main() -> int:
    """The answer as an exit status."""
    with grpc.insecure_channel("127.0.0.1:4000") as channel:
        request = health_pb2.HealthCheckRequest(service="DagsterApi")
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=10)
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1


if __name__ == "__main__":
    sys.exit(main())
