"""A Dask scheduler and workers, each a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.waiting import SECONDS, until


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.folder, self.started = folder, list[subprocess.Popen[str]]()
        file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(file))
        until(lambda: file.exists() and file.read_text().endswith("}"))
        self._address = json.loads(file.read_text())["address"]
        self.address = self._address.replace("tcp://", "dask://")

    def worker(
        self, environment: dict[str, str] | None = None, threads: int = 2
    ) -> subprocess.Popen[str]:
        words = ["--nthreads", str(threads), "--no-nanny", "--local-directory", str(self.folder)]
        return self._start("worker", self._address, *words, **(environment or {}))

    def _start(self, which: str, *words: str, **environment: str) -> subprocess.Popen[str]:
        module = f"distributed.cli.dask_{which}"
        words = ("--host", "127.0.0.1", "--no-dashboard", *words)
        with (self.folder / f"{which}-{len(self.started)}.log").open("w") as log:
            started = subprocess.Popen(
                [sys.executable, "-m", module, *words],
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,  # as on another machine: no Ctrl-C of ours is heard there
                env=os.environ | environment,
            )
        self.started.append(started)
        return started

    def wait_for(self, workers: int) -> None:
        """Until so many have come."""
        from distributed import Client

        with Client(self._address, timeout=SECONDS, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=SECONDS)

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
