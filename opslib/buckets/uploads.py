"""Uploads from browsers (`uploads` of the target's file): what lets them, and what refuses them."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from opslib import databases
from opslib.buckets import moments, presigned
from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    NotFound,
    Question,
    Read,
    Unfinished,
    answer,
    check,
    count,
    dtypes,
    frame,
    look,
    objects,
)
from opslib.core.connections.http import Api, request

CORS, DENIED, KEY = "cors-misconfigured", "upload-denied", "encryption-key-unusable"
WRITTEN = dtypes("""
    written utc
    key     str
    what    str
    newest  bool
""")
_SHOWN = 60


def refused(rules: Sequence[Json], origin: str, method: str, headers: Iterable[str]) -> str:
    """Why S3 refuses a browser's preflight; empty when a rule lets it."""
    if not rules:
        return "the bucket has no CORS rules"
    fits = [rule for rule in rules if _like(origin, rule.get("AllowedOrigins", ()))]
    if not fits:
        return f"no rule names origin {origin}"
    fits = [rule for rule in fits if method in rule.get("AllowedMethods", ())]
    if not fits:
        return f"no rule for that origin allows {method}"
    lacks = [
        [
            each
            for each in headers
            if not _like(each.lower(), map(str.lower, rule.get("AllowedHeaders", ())))
        ]
        for rule in fits
    ]
    least = min(lacks, key=len)
    return f"no rule for that origin and {method} allows header {', '.join(least)}" if least else ""


def _like(text: str, patterns: Iterable[str]) -> bool:
    """As S3 compares: to the letter, but for one star."""
    return any(re.fullmatch(re.escape(p).replace(r"\*", ".*"), text) for p in patterns)


@check("May browsers upload?")
def check_cors(ops: Connection, upload: str) -> Findings:
    """For each origin and method: what the bucket's rules say, and what S3 answers when it is
    asked as a browser asks it.
    """
    return Findings(_cors(ops, upload))


def _cors(ops: Connection, upload: str, signed: Sequence[str] = ()) -> list[Finding]:
    """`signed`: headers that a URL has signed besides."""
    facts = ops.target["uploads"][upload]
    bucket = ops.target["buckets"][facts["bucket"]]["name"]
    rules = _of_bucket(ops, "get_bucket_cors", bucket).get("CORSRules", [])
    headers, found = sorted({*facts.get("headers", ()), *signed}), []
    for origin in facts["origins"]:
        for method in facts.get("methods", ["PUT"]):
            asked = Question(
                f"{method} from {origin}",
                "allowed by the first rule that fits",
                "s3 GetBucketCors, OPTIONS",
            )
            why = refused(rules, origin, method, headers)
            sent = _preflight(ops, bucket, origin, method, headers)
            if why:
                found.append(asked.critical(why, cause=CORS, next="buckets/create"))
            elif sent == 403:
                seen = "a rule allows it, and S3 answers 403: rules that were changed take a while"
                found.append(asked.warn(seen))
            else:
                seen = (
                    f"allowed; S3 answers {sent}"
                    if sent
                    else "allowed; S3 was not reached from here"
                )
                found.append(asked.ok(seen, cause=CORS))
    return found


def _of_bucket(ops: Connection, operation: str, bucket: str) -> Json:
    """What was never set is empty; a bucket that is not there lacks more than that."""
    try:
        return ops.call("s3", operation, Bucket=bucket)
    except NotFound as exc:
        if "NoSuchBucket:" in str(exc):
            raise
        return {}


def _preflight(
    ops: Connection, bucket: str, origin: str, method: str, headers: Sequence[str]
) -> int:
    """The status that S3 answers to a browser's OPTIONS; 0 without an answer."""
    at = {"Bucket": bucket, "Key": "preflight"}
    address = ops.client("s3").generate_presigned_url("put_object", at)
    parts = urlsplit(address.partition("?")[0])  # what was signed is thrown away
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        asked["Access-Control-Request-Headers"] = ", ".join(headers)
    api = Api(f"{parts.scheme}://{parts.netloc}", asked, 5.0)
    try:
        return request(api, "OPTIONS", parts.path, None, {}, ops.journal).status
    except Unfinished:
        return 0


@check("What refuses an upload?")
def check_uploads(ops: Connection, upload: str, signed_url: str = "") -> Findings:
    """The bucket's policy, the key that it encrypts with, and a URL that does not work."""
    facts = ops.target["uploads"][upload]
    name = ops.target["buckets"][facts["bucket"]]["name"]
    found = [answer(f"Policy of {name}", _policy, ops, name, facts.get("headers", ()))]
    told = _of_bucket(ops, "get_bucket_encryption", name)
    for rule in told.get("ServerSideEncryptionConfiguration", {}).get("Rules", ()):
        if key := rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID"):
            found.append(answer(f"Key of {name}", _key, ops, name, key))
    if signed_url.strip():
        url = presigned.read(signed_url)
        found += presigned.findings(ops, url, facts)
        found += _cors(ops, upload, url.headers) if url.headers else []
    return Findings(found)


def check_room(ops: Connection, upload: str, who: str = "") -> Findings:
    """The quota that uploads have to keep to, of `who` or of all."""
    facts = ops.target["uploads"][upload]
    if "quota" not in facts:
        return Findings(note=f"The target's file names no quota for {upload}.")
    return databases.check_quotas(ops, facts["quota"], who)


def _policy(ops: Connection, bucket: str, headers: Sequence[str]) -> Finding:
    asked = Question(f"Policy of {bucket}", "denies nobody s3:PutObject", "s3 GetBucketPolicy")
    said = _of_bucket(ops, "get_bucket_policy", bucket)
    if not said:
        return asked.ok("none", cause=DENIED)
    denies = [*_denies(json.loads(said["Policy"]), headers)]
    seen = "; ".join(said for _, said in denies) or "denies none of it"
    sure = "critical" if any(sure for sure, _ in denies) else "warn"
    return asked.judged(
        not denies, seen, otherwise=sure, cause=DENIED, next="changes/configuration"
    )


def _key(ops: Connection, bucket: str, key: str) -> Finding:
    asked = Question(f"Key of {bucket}", "it can be used", "kms DescribeKey")
    state = look(ops, Read("kms", "describe_key", "KeyMetadata.KeyState", KeyId=key))
    return asked.judged(state == "Enabled", f"{key}: {state}", cause=KEY, next="changes/who")


def _denies(policy: Json, headers: Sequence[str]) -> Iterator[tuple[bool, str]]:
    """What of a policy denies an upload over TLS with these headers; does it do so for sure?"""
    for each in _listed(policy.get("Statement")):
        actions = [str(action).lower() for action in _listed(each.get("Action"))]
        tests = {key for test in each.get("Condition", {}).values() for key in test}
        plain = tests and tests <= {"aws:SecureTransport", "s3:TlsVersion"}  # only without TLS
        sent = tests and {key.removeprefix("s3:") for key in tests} <= {*map(str.lower, headers)}
        denies = each.get("Effect") == "Deny" and any(_like("s3:putobject", [a]) for a in actions)
        if not denies or plain or sent:
            continue
        everybody = each.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
        sure = everybody and all(key.startswith("s3:x-amz-") for key in tests)
        by = f" by {', '.join(sorted(tests))}" if tests else ""
        whom = " to everybody" if everybody else " to some"
        yield sure, f"{each.get('Sid', 'a statement')} denies it{whom}{by}"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


@check("What was uploaded?")
def check_written(ops: Connection, upload: str, below: str) -> Findings:
    """Versions and markers below a prefix, the newest first. Evidence: WRITTEN."""
    if not below:
        return Findings(
            note="Give below, the prefix of one tenant or document, to list what is there."
        )
    name = ops.target["buckets"][ops.target["uploads"][upload]["bucket"]]["name"]
    found = sorted(
        objects.list_versions(ops, name, below), key=lambda each: each.modified, reverse=True
    )
    rows = [
        (each.modified, each.key, moments.said(each), each.latest) for each in islice(found, _SHOWN)
    ]
    fresh = [each for each in found if (ops.now() - each.modified).total_seconds() < 24 * 3600]
    seen = f"{count(len(fresh), 'version')} in 24 h, {len(found):,} in all"
    asked = Question(f"uploads below {below}", "", "s3 ListObjectVersions")
    status = "ok" if found else "unknown"
    return Findings(asked.answer(status, seen), frame(rows, WRITTEN))
