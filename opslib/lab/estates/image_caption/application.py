"""What the caption generator's app answers: a Streamlit server, whose health is a word."""

from __future__ import annotations

from opslib.lab.estates.seeding import Application
from opslib.lab.traffic.requests import Answer, Request


def health(request: Request) -> Answer:
    return 200, "ok"


APPLICATION = Application(routes={("GET", "/_stcore/health"): health})
