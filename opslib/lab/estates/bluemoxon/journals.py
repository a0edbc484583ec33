"""What the scheduled functions and the workers write, beside the API."""

from __future__ import annotations

from datetime import datetime, timedelta

from opslib.lab.estates.bluemoxon import jobs, lines, names, schedules
from opslib.lab.places import Place
from opslib.lab.resources import functions
from opslib.lab.traffic.journals import STEP, minutes, stream


def append_schedules(place: Place, since: datetime, until: datetime) -> None:
    """What the functions that run by the clock wrote in (since, until]."""
    for key in schedules.scheduled(place):
        version = functions.live(place, key)
        runs = [
            (run.when, _framed(place, key, version, run))
            for minute in minutes(since, until)
            if (run := schedules.run_at(place, key, minute)) and since < run.when <= until
        ]
        events = [
            (when + at * STEP, stream(place, key, when, version), text)
            for when, messages in runs
            for at, text in enumerate(messages)
        ]
        if events:
            place.logs(names.log_group(place, key), events)


def append_jobs(place: Place) -> None:
    """What the workers wrote of the last day's jobs."""
    for kind in jobs.KINDS:
        key = str(place.facts["jobs"][kind]["function"])
        version, events = functions.live(place, key), []
        for job in jobs.history(place, kind):
            if job.started_at and job.finished_at and job.started_at > names.start(place) - timedelta(days=1):
                name = stream(place, key, job.started_at, version)
                run = lines.Run(str(job.id), version, functions.memory(place, key), 0.0)
                run = run._replace(duration_ms=(job.finished_at - job.started_at).total_seconds() * 1000)
                texts = lines.framed(run, lines.job_done(job))
                events += [(job.started_at, name, text) for text in texts[:2]]
                events += [(job.finished_at, name, text) for text in texts[2:]]
        place.logs(names.log_group(place, key), events)


def _framed(place: Place, key: str, version: str, run: schedules.Run) -> list[str]:
    status = "timeout" if run.failed else ""
    frame = lines.Run(run.id, version, functions.memory(place, key), run.duration_ms, status=status)
    return lines.framed(frame, run.messages)
