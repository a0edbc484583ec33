"""A pre-signed URL, read without being used: what it is for, and until when. Its signature is a
login: it is masked before anything else, and nothing of it is answered.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from opslib.core import Connection, Facts, Finding, Question, UsageError, redaction

EXPIRED = "url-expired"
_LONGEST = timedelta(days=7)  # of what SigV4 takes
_SESSION = timedelta(hours=12)  # the longest of a role
_SKEW = timedelta(minutes=15)
_TIME = "%Y%m%dT%H%M%SZ"


class Url(NamedTuple):
    """What a pre-signed URL says of itself. `session`: its credentials end by themselves.

    `made`: none where the form does not say. `headers`: that are signed, but the host.
    """

    form: str
    host: str
    path: str
    made: datetime | None
    end: datetime
    region: str
    session: bool
    headers: Sequence[str]


def read(text: str) -> Url:
    """Raises UsageError, without anything of the text in it."""
    text = text.strip().strip("'\"").replace("\\", "")
    redaction.register(text, "a pre-signed URL")
    try:
        parts = urlsplit(text)
        given = {name.lower(): value for name, value in parse_qsl(parts.query, strict_parsing=True)}
        for name, value in given.items():
            if name.endswith(("signature", "token", "credential", "accesskeyid", "policy")):
                redaction.register(value, f"a pre-signed URL:{name}")
        return _read(parts.hostname or "", unquote(parts.path), given)
    except (ValueError, KeyError, IndexError, OverflowError):
        raise UsageError(
            "signed_url is no pre-signed URL of S3 or CloudFront that can be read: it begins with "
            "https:// and has X-Amz-Date, X-Amz-Expires and X-Amz-Credential after the '?', or "
            "Expires. Quote it: the shell cuts it at each &."
        ) from None


def _read(host: str, path: str, given: Mapping[str, str]) -> Url:
    session = "x-amz-security-token" in given
    if "x-amz-date" not in given:
        form = "CloudFront" if "key-pair-id" in given else "SigV2"
        end = datetime.fromtimestamp(int(given["expires"]), UTC)
        return Url(form, host, path, None, end, "", session, ())
    made = datetime.strptime(given["x-amz-date"], _TIME).replace(tzinfo=UTC)
    scope = given["x-amz-credential"].split("/")
    headers = [name for name in given["x-amz-signedheaders"].split(";") if name != "host"]
    region = given.get("x-amz-region-set") or scope[2]
    end = made + timedelta(seconds=int(given["x-amz-expires"]))
    return Url("SigV4", host, path, made, end, region, session, headers)


def findings(ops: Connection, url: Url, facts: Facts) -> list[Finding]:
    """Whether it still holds, how long it was made for, and whether it is for this bucket."""
    now, found = ops.now(), []
    asked = Question("Life of the URL", "it still holds", "the URL itself")
    seen = f"{url.form}, ends {url.end:%Y-%m-%d %H:%M:%S} UTC, now {now:%H:%M:%S}"
    if url.made:
        life = url.end - url.made
        seen = f"made {url.made:%Y-%m-%d %H:%M:%S} for {life}, {seen}"
        if life > _LONGEST:
            seen += "; S3 takes no more than 7 days, and refuses it from the first second"
            found.append(asked.critical(seen))
        if url.made - now > _SKEW:
            seen += "; made in the future: the clock of who signs it, or of this machine, is wrong"
            found.append(asked.critical(seen))
    meant = facts.get("url_seconds")
    if url.made and meant and life.total_seconds() != meant:
        made_for = Question("URLs are made for", f"{meant:g} s", "the target's file")
        found.append(made_for.warn(f"{life.total_seconds():g} s"))
    if not found or now >= url.end:
        found.append(asked.judged(now < url.end, seen, cause=EXPIRED))
    if url.session and now < url.end:
        asked = Question("Login that signed the URL", "it outlives the URL", "the URL itself")
        seen = "of a role: it ends with its session, at most 12 h after it began, whatever it says"
        over = url.made and now - url.made > _SESSION
        long = url.made is None or url.end - url.made > timedelta(hours=1)
        status = "critical" if over else "warn" if long else "ok"
        found.append(asked.answer(status, seen, cause=EXPIRED if over else ""))
    name, region = ops.target["buckets"][facts["bucket"]]["name"], ops.target.region
    here = url.host.startswith(f"{name}.") or url.path.startswith(f"/{name}/")
    asked = Question("The URL is for", f"{name} in {region}", "the URL itself")
    if url.form != "CloudFront":
        seen = f"{url.host}, {url.region or 'no region in it'}"
        well = here and url.region in ("", "*", region)
        found.append(asked.judged(well, seen))
    return found
