"""From the door to the right procedure, in a browser: acts and seconds, by the tables and by words.

`python -m tests.sittings.measured http://127.0.0.1:8888`, against a JupyterLab that `./run lab`
started. An act is a click, a field filled, a choice, a value marked, or a turn of the wheel by a
screen. Reading and thinking, which no script does, are in neither.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from statistics import median
from typing import Any, NamedTuple

from playwright.sync_api import sync_playwright

from opslib.catalogue import runbooks

SCREEN, BOTTOM = 600, 730  # pixels of a notebook that one sees at 1366 × 768


class Incident(NamedTuple):
    """`said`: the reporter's words; `entry`: what helps, as the system's runbook calls it."""

    said: str
    target: str
    entry: str


INCIDENTS = (
    Incident("people can't log in", "lab/bluemoxon-production", "bluemoxon/sign-in"),
    Incident("one request in four fails", "lab/bluemoxon-production", "bluemoxon/high-error-rate"),
    Incident("documents are stuck in the dead letter queue", "lab/dms-dev", "dms/dead-letters"),
    Incident(
        "the backend answers 500 since the deployment",
        "lab/ai-studio-production",
        "ai-studio/rollback",
    ),
    Incident(
        "uploads get ProvisionedThroughputExceeded",
        "lab/image-caption-prod",
        "image-caption/table-throttling",
    ),
    Incident(
        "too many connections to postgres",
        "lab/loglineos-production",
        "loglineos/database-connections",
    ),
)


class Hands:
    """Counts what they do on a page, from the door that is ready to the procedure that is open."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.acts = page, 0
        page.goto(f"{address}/lab/workspaces/measured/tree/notebooks/start.ipynb?reset")
        page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()
        self.began = time.monotonic()

    def does(self, act: Any, *said: Any) -> None:
        act(*said)
        self.acts += 1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


def by_the_tables(hands: Hands, incident: Incident) -> None:
    """Down to the row, to the notebook, and its target and what the entry sets typed over."""
    procedure, preset, _ = runbooks.find(incident.entry)
    page, link = hands.page, f'a[href*="{procedure.name}.ipynb"]'
    page.mouse.move(800, 400)
    while not (box := page.locator(link).first.bounding_box()) or box["y"] > BOTTOM:
        hands.does(page.mouse.wheel, 0, SCREEN)
        page.wait_for_timeout(150)
    hands.does(page.locator(link).first.click)
    for name, value in {"target": incident.target, **preset}.items():
        line = page.locator(".jp-NotebookPanel:visible .cm-line", has_text=f"{name}: str")
        line.wait_for()
        hands.does(partial(line.click, click_count=3))  # marks it
        hands.does(page.keyboard.insert_text, f"{name}: str = {value!r}")


def by_words(hands: Hands, incident: Incident) -> None:
    """The target chosen, what is seen typed, the hit clicked on."""
    page = hands.page
    hands.does(page.get_by_role("button", name="Search", exact=True).click)
    box = page.get_by_placeholder("What do you see?")
    box.wait_for()
    hands.does(page.locator(".opslib-door select").first.select_option, incident.target)
    hands.does(box.fill, incident.said)
    hit = page.locator(".opslib-hit", has_text=incident.entry).first
    hands.does(hit.locator("button").click)
    page.locator(".jp-NotebookPanel:visible .cm-line", has_text=incident.target).first.wait_for()


def main(address: str) -> None:
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=options)
        print("| what was said | what helps | by the tables | by words |\n|---|---|---|---|")
        sums: dict[str, list[Hands]] = {}
        for incident in INCIDENTS:
            told = []
            for way in (by_the_tables, by_words):
                page = browser.new_page(viewport={"width": 1366, "height": 768})
                page.set_default_timeout(180_000)
                hands = Hands(page, address)
                way(hands, incident)
                told.append(f"{hands.acts} acts, {hands.seconds:.0f} s")
                sums.setdefault(way.__name__, []).append(hands)
                page.close()
            print(f"| {incident.said} | `{incident.entry}` | {' | '.join(told)} |", flush=True)
        middle = [f"{median(h.acts for h in each):.0f} acts" for each in sums.values()]
        print(f"| the middle | | {' | '.join(middle)} |")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
