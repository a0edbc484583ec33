"""How a document is processed: from its message to its entry in the index."""

import json
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError

from opslib.lab.aws.handlers import FunctionHandler, Invocation
from opslib.lab.places import Place
from opslib.lab.resources import names, search
from opslib.lab.resources.databases import statements
from opslib.lab.traffic import lines
from opslib.lab.work import executions

_SCANNED_BYTES, _SCAN_SECONDS = 6_000_000, 6.0  # a second; of each
_PAST = timedelta(days=7)
_HEADER = b"%PDF-"


class CorruptDocument(Exception):
    """What the OCR says of a file that it cannot open."""


class IndexingFailed(Exception):
    """What the index says, in the application's words."""


def start(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    """An execution for each message, named from document and attempt: so a message that comes
    twice, or was started by hand meanwhile, is worked on once.
    """
    failures = []
    for record in event["Records"]:
        try:
            told = _started(place, invocation, json.loads(record["body"]))
            _say(place, invocation, "INFO", **told)
        except (ClientError, KeyError, TypeError, ValueError) as exc:
            failures.append({"itemIdentifier": record["messageId"]})
            error = f"{type(exc).__name__}: {exc}"
            _say(place, invocation, "ERROR", message="message could not be started", error=error)
    return {"batchItemFailures": failures}


def _started(place: Place, invocation: Invocation, body: Any) -> dict[str, Any]:
    attempt = int(body.get("attempt", 1))
    given = {**{name: body[name] for name in ("documentId", "tenantId")}, "attempt": attempt}
    called = f"{given['documentId']}-{attempt}"
    machine = invocation.variables["STATE_MACHINE_ARN"]
    try:
        place.client("stepfunctions").start_execution(
            stateMachineArn=machine, name=called, input=json.dumps(given)
        )
    except ClientError as exc:
        if exc.response["Error"]["Code"] != "ExecutionAlreadyExists":
            raise
        return {"message": "this attempt is done already", "execution": called}
    return {"message": "execution started", "execution": called}


def scan(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    """Takes as long as the document is large."""
    document = _document(place, event)
    statements.asked(place, "begun", [event["attempt"], document["id"]])
    invocation.seconds = _SCAN_SECONDS + int(document["size_bytes"]) / _SCANNED_BYTES
    _body(place, document)
    if invocation.seconds <= invocation.timeout_seconds:
        _say(place, invocation, "INFO", message="no malware found", **_about(event))
    return {"clean": True}


def extract(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    document = _document(place, event)
    body = _body(place, document)
    if not body.startswith(_HEADER):
        raise CorruptDocument(
            f"OCR failed: cannot open {document['name']}: the document is corrupt (no PDF header)"
        )
    text = body.splitlines()[-1].decode()
    statements.asked(place, "ended", ["processing", None, text, document["id"]])
    _say(place, invocation, "INFO", message="text extracted", characters=len(text), **_about(event))
    return {"characters": len(text)}


def index(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    """Writes what the target's file says of the index, of the row."""
    document, about = _document(place, event), place.facts["search"]["indices"]["documents"]
    members = {name: str(document[column]) for name, column in about["fields"].items()}
    try:
        search.put(place, str(about["index"]), str(document["id"]), members)
    except search.Unavailable as exc:
        raise IndexingFailed(f"indexing failed: {exc}") from exc
    _say(place, invocation, "INFO", message="document indexed", **_about(event))
    return {"indexed": True}


def finish(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    """The row's end: ready, or failed with what the workflow caught."""
    failure = event.get("failure")
    status, error = ("failed", _reason(failure)) if failure else ("ready", None)
    statements.asked(place, "ended", [status, error, None, event["documentId"]])
    told = {"errorMessage": error, "status": "FAILED"} if failure else {"status": "READY"}
    level = "ERROR" if failure else "INFO"
    _say(place, invocation, level, message=f"document {status}", **told, **_about(event))
    return {"status": status}


def _reason(failure: dict[str, str]) -> str:
    """The message of a function's error; of other errors what Step Functions says."""
    try:
        cause = json.loads(failure["Cause"])["errorMessage"]
    except (ValueError, KeyError, TypeError):
        cause = failure["Cause"]
    return f"{failure['Error']}: {cause}"


def _document(place: Place, event: Any) -> dict[str, Any]:
    found = statements.asked(place, "document", [event["documentId"]])
    if not found:
        raise LookupError(f"document {event['documentId']} does not exist")
    return found[0]


def _body(place: Place, document: dict[str, Any]) -> bytes:
    name = str(place.facts["buckets"]["documents"]["name"])
    found = place.client("s3").get_object(Bucket=name, Key=document["s3_key"])
    return bytes(found["Body"].read())


def _about(event: Any) -> dict[str, Any]:
    return {"documentId": event["documentId"], "attempt": event["attempt"]}


def _say(place: Place, invocation: Invocation, level: str, **members: Any) -> None:
    told = {"requestId": invocation.request_id, **members}
    invocation.log(lines.entry(level, place.now(), **told))


def seed(place: Place, documents: list[dict[str, Any]]) -> None:
    """The executions of the last week's documents, as their rows tell."""
    for row in documents:
        if row["created_at"] > names.start(place) - _PAST and not row["deleted_at"]:
            given = {"documentId": str(row["id"]), "tenantId": str(row["tenant_id"]), "attempt": 1}
            seconds = 2 * _SCAN_SECONDS + int(row["size_bytes"]) / _SCANNED_BYTES
            called = f"{row['id']}-1"
            executions.add(place, "documents", called, given, row["created_at"], seconds)


FUNCTIONS: dict[str, FunctionHandler] = {
    "start-processing": start,
    "scan-document": scan,
    "extract-text": extract,
    "index-document": index,
    "finish-document": finish,
}
