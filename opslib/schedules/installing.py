"""`run-due` given to the machine's own scheduler: a systemd timer of the user's, or crontab."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from opslib.core import OpsError, Refused, UsageError, paths
from opslib.core import removal as placing

KINDS = ("systemd", "cron")
_MARK = "# opslib schedule of "
_TAKEN = ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE")
_FOLDERS = {"OPSLIB_HOME", "OPSLIB_RECORDS", "OPSLIB_PRIVATE", "OPSLIB_LAB_DIR"}
_OWN = (*sorted(_FOLDERS), "OPSLIB_INDEX", "OPSLIB_PROFILE", "OPSLIB_LAB_PORT")
_SECONDS = 30.0

_SERVICE = """\
[Unit]
Description=opslib: run what is due ({root})

[Service]
Type=oneshot
WorkingDirectory={root}
{environment}EnvironmentFile=-%h/.config/opslib/environment
ExecStart={command}
SuccessExitStatus=4 5
"""
_TIMER = """\
[Unit]
Description=opslib: run what is due ({root})

[Timer]
OnCalendar=*:0/{every}
Persistent=true

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True)
class Installation:
    """What would be written: files with their text, or the crontab; None: taken away."""

    kind: str
    files: dict[Path, str | None]
    line: str | None = None

    def __str__(self) -> str:
        if self.kind == "cron":
            return self.line or f"the lines of crontab after {_MARK}{paths.project_root()}, away"
        shown = [
            f"# {path}\n{text}" if text else f"{path}, away" for path, text in self.files.items()
        ]
        return "\n".join(shown).rstrip()


def kind_here() -> str:
    """What this machine has. Raises UsageError: neither."""
    if shutil.which("systemctl") and Path("/run/systemd/system").exists():
        return "systemd"
    if shutil.which("crontab"):
        return "cron"
    raise UsageError(
        "This machine has neither systemd nor crontab. Let what runs things here call, every five "
        f"minutes: {shlex.join(_command())}"
    )


def planned(kind: str, every: int) -> Installation:
    """What `install` would write. Raises Refused: a password would be written."""
    set_here = _environment()
    if kind == "cron":
        words = ["env", *(f"{k}={v}" for k, v in set_here.items()), *_command()]
        line = (
            f"*/{every} * * * * cd {shlex.quote(str(paths.project_root()))} && {shlex.join(words)}"
        )
        return Installation(kind, {}, f"{_mark()}\n{line.replace('%', chr(92) + '%')}")
    settings = "".join(f"Environment={_unit_word(f'{k}={v}')}\n" for k, v in set_here.items())
    root = str(paths.project_root()).replace("%", "%%")
    command = " ".join(_unit_word(word) for word in _command())
    service = _SERVICE.format(root=root, environment=settings, command=command)
    files = {_unit("service"): service, _unit("timer"): _TIMER.format(root=root, every=every)}
    return Installation(kind, dict(files))


def removal(kind: str) -> Installation:
    """What `uninstall` would take away."""
    units = {_unit(ending): None for ending in ("timer", "service")} if kind == "systemd" else {}
    return Installation(kind, dict(units))


def carry_out(what: Installation) -> None:
    """Write it, or take it away. Raises OpsError: the machine's scheduler said no."""
    if what.kind == "cron":
        ended = subprocess.run(
            ["crontab", "-l"], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        if ended.returncode and "no crontab" not in ended.stderr.lower():
            raise OpsError(f"crontab -l failed, and nothing was changed: {ended.stderr.strip()}")
        now = ended.stdout.splitlines()
        # All but ours: the mark of this checkout and the line after it.
        ours = {at + step for at, line in enumerate(now) if line == _mark() for step in (0, 1)}
        lines = [line for at, line in enumerate(now) if at not in ours]
        lines += [what.line] if what.line else []
        _asked(["crontab", "-"], "".join(f"{line}\n" for line in lines))
        return
    timer = _unit("timer").name
    taken_away = None in what.files.values()
    if taken_away and _unit("timer").exists():
        _asked(["systemctl", "--user", "disable", "--now", timer])
    for path, text in what.files.items():
        if text is None:
            placing.remove_file(path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            placing.write(path, text)
    _asked(["systemctl", "--user", "daemon-reload"])
    if not taken_away:
        _asked(["systemctl", "--user", "enable", "--now", timer])


def _command() -> list[str]:
    return [sys.executable, "-m", "opslib", "schedule", "run-due"]


def _environment() -> dict[str, str]:
    """What is set here and counts there, too; never a password."""
    found = {name: os.environ[name] for name in (*_OWN, *_TAKEN) if os.environ.get(name)}
    for name in _FOLDERS & found.keys():
        if "://" not in found[name]:
            found[name] = str(Path(found[name]).expanduser().resolve())
    if "://" in (url := found.get("OPSLIB_INDEX", "")) and sa.make_url(url).password:
        raise Refused(
            "OPSLIB_INDEX holds a password, which is not written into a timer or crontab. Nothing "
            "was changed. Put it into ~/.config/opslib/environment (systemd reads that), or into "
            "a ~/.pgpass, and unset it here."
        )
    return found


def _unit(ending: str) -> Path:
    """One a checkout: two do not write over each other."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    name = re.sub(r"[^A-Za-z0-9]+", "-", str(paths.project_root())).strip("-")
    return Path(base).expanduser() / "systemd" / "user" / f"opslib-schedule-{name}.{ending}"


def _unit_word(text: str) -> str:
    """A word as systemd reads it: quoted, and % is doubled."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _mark() -> str:
    return f"{_MARK}{paths.project_root()}"


def _asked(words: list[str], given: str = "") -> None:
    try:
        ended = subprocess.run(
            words, input=given, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise OpsError(f"{shlex.join(words)} did not run: {exc}") from exc
    if ended.returncode:
        raise OpsError(f"{shlex.join(words)} failed: {ended.stderr.strip() or ended.returncode}")
