"""A self-hosted server as probes see it when all is well, to be changed in one point by a test."""

from dataclasses import replace
from typing import Any

from rules.findings import Subject
from rules.posture.observations import Answer, KeyPlace, Posture, Transport

SERVER = Subject("server", "https://prefect.example.com/api", "https://prefect.example.com/api")

GUARDED = Posture(
    server=SERVER,
    transport=Transport("https", "prefect.example.com"),
    health=True,
    version="3.8.8",
    accounts=False,
    anonymous=Answer.REFUSED,
    wrong=Answer.REFUSED,
    empty=Answer.REFUSED,
    non_ascii=Answer.REFUSED,
    suffix=Answer.REFUSED,
    sockets={"/events/in": Answer.REFUSED, "/logs/out": Answer.REFUSED},
    csrf=True,
    foreign_origin="",
    schema=(),
    ui_settings=(),
    shown_headers=(),
    beyond_loopback=True,
    encryption_key=KeyPlace.ELSEWHERE,
    packages={"prefect": "3.8.8"},
)
"""A server with nothing to find."""


def posture(**changes: Any) -> Posture:
    """Return the guarded server with those fields changed."""
    return replace(GUARDED, **changes)
