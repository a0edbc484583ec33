"""The collection's own API: its health, its books, and all that the estate's Python brings."""

from collections.abc import Callable
from functools import partial
from typing import Any

from opslib.lab.estates.bluemoxon import background, collection
from opslib.lab.estates.seeding import Application
from opslib.lab.places import Place
from opslib.lab.resources import functions, networks
from opslib.lab.resources.databases import rds
from opslib.lab.resources.databases.statements import asked
from opslib.lab.traffic.requests import Answer, Hanging, Problem, Request, require_token
from opslib.lab.work import checks, endpoints, orphans, workers

# The app's calls out of the VPC: which endpoint each goes through.
_SERVICES = ("secretsmanager", "cognito-idp", "s3")
_SERVICE = "bluemoxon-api"
_KINDS = ("analysis", "eval-runbook")


def live(request: Request) -> Answer:
    return 200, {"status": "ok", "service": _SERVICE}


def ready(request: Request) -> Answer:
    """Only the database: what each request needs."""
    told = checks.brief(checks.checked(_dependencies(request.place)["database"]))
    status, word = (200, "ready") if told == "ok" else (503, "not ready")
    return status, {"status": word, "database": told}


def info(request: Request) -> Answer:
    built = functions.release(request.place, "api")
    return 200, {
        "service": _SERVICE,
        "environment": request.place.target.environment,
        "version": built["version"],
        "git_sha": built["git_sha"],
        "deployed_at": built["deployed"],
        "migration_head": built["schema"],
    }


def version(request: Request) -> Answer:
    built = functions.release(request.place, "api")
    return 200, {"version": built["version"], "migration_head": built["schema"]}


def deep(request: Request) -> Answer:
    """Every dependency. Staging answers nested, production flat,
    as two ages of the same code do.
    """
    place = request.place
    for service in _SERVICES:
        if networks.unreachable(place, service):
            endpoint = f"https://{service}.{place.region}.amazonaws.com/"
            raise Hanging(f"Connect timeout on endpoint URL: {endpoint}, retrying")
    found = {name: checks.checked(check) for name, check in _dependencies(place).items()}
    status, told = checks.overall(found)
    if place.target.production:
        return status, {
            "status": told,
            **{name: checks.brief(each) for name, each in found.items()},
        }
    found["bedrock"] = {"status": "skipped", "reason": "a call costs money"}
    return status, {"status": told, "checks": found}


def migrate(request: Request) -> Answer:
    """Applies what the live code brings and the database has not had."""
    head = functions.release(request.place, "api")["schema"]
    with rds.connect(request.place) as database:
        return 200, request.place.memory["migrations"].run(database, head)


def _dependencies(place: Place) -> dict[str, Callable[[], Any]]:
    s3, cognito = place.client("s3"), place.client("cognito-idp")
    return {
        "database": partial(asked, place, "reachable"),
        "s3": partial(s3.list_objects_v2, Bucket=collection.bucket(place), MaxKeys=1),
        "cognito": partial(cognito.describe_user_pool, UserPoolId=place.memory["pool"]),
    }


def books(request: Request) -> Answer:
    """`limit` (50) and `offset` (0)."""
    given = [_number(request, "limit", 50), _number(request, "offset", 0)]
    total = asked(request.place, "stats")[0]["books"]
    return 200, {"items": asked(request.place, "books", given), "total": total}


def _number(request: Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdigit():
        raise Problem(422, f"{name} must be a number, not {text!r}")
    return int(text)


def book(request: Request) -> Answer:
    """A book, with what its latest jobs came to."""
    row = _book(request)
    for kind in _KINDS:
        latest = endpoints.latest(request.place, kind, request.ids[0])
        row[request.place.facts["jobs"][kind]["field"]] = latest and latest["status"]
        if latest and latest["status"] == "failed":
            row["analysis_issues"].append(f"{kind}: {latest['error_message']}")
    return 200, row


def _book(request: Request) -> dict[str, Any]:
    rows = asked(request.place, "book", request.ids)
    if not rows:
        raise Problem(404, f"No book {request.ids[0]}")
    return rows[0]


def images(request: Request) -> Answer:
    """A book's images: key as the table has it, size in the bucket (0: the object is missing)."""
    _book(request)
    rows = asked(request.place, "images", request.ids)
    return 200, [{**row, "bytes": collection.size(request.place, row["s3_key"])} for row in rows]


def listings(request: Request) -> Answer:
    rows = asked(request.place, "listings")
    return 200, {"items": rows, "total": len(rows)}


def stats(request: Request) -> Answer:
    return 200, asked(request.place, "stats")[0]


def openapi(request: Request) -> Answer:
    """What FastAPI says of an app's paths, in short."""
    paths: dict[str, dict[str, Any]] = {}
    for method, pattern in APPLICATION.routes:
        paths.setdefault(pattern.replace(r"(\d+)", "{id}"), {})[method.lower()] = {}
    return 200, {"openapi": "3.1.0", "paths": paths}


def _admin(answer: Callable[..., Answer], kind: str, **more: str) -> Callable[[Request], Answer]:
    """What only somebody with the token may ask for."""

    def guarded(request: Request) -> Answer:
        require_token(request)
        return answer(kind, request, **more)

    return guarded


APPLICATION = Application(
    routes={
        ("GET", r"/health/live"): live,
        ("GET", r"/health/ready"): ready,
        ("GET", r"/health/info"): info,
        ("GET", r"/health/version"): version,
        ("GET", r"/health/deep"): deep,
        ("POST", r"/health/migrate"): migrate,
        ("GET", r"/books"): books,
        ("GET", r"/books/(\d+)"): book,
        ("GET", r"/books/(\d+)/images"): images,
        ("GET", r"/listings"): listings,
        ("GET", r"/stats"): stats,
        ("GET", r"/openapi\.json"): openapi,
        **endpoints.routes({kind: rf"/books/(\d+)/{kind}" for kind in _KINDS}, _book),
        ("POST", r"/admin/maintenance/orphan-scan"): _admin(
            orphans.scan, "images", group="book_id"
        ),
        ("POST", r"/admin/maintenance/orphan-cleanup"): _admin(orphans.clean_up, "images"),
        ("POST", r"/admin/maintenance/listings-scan"): _admin(orphans.scan, "listings"),
        ("POST", r"/admin/maintenance/listings-cleanup"): _admin(orphans.clean_up, "listings"),
    },
    functions={
        "analysis-worker": workers.function("analysis", background.work),
        "eval-runbook-worker": workers.function("eval-runbook", background.work),
        "scraper": background.scrape,
        "cleanup": background.clean_up,
        "db-sync": background.sync,
    },
    fill=collection.fill,
    seed=collection.photograph,
    work=background.work,
)
