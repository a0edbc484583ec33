"""What the stand-in for OpenSearch can be asked: a pattern of the path for each operation."""

from collections.abc import Callable
from typing import Any

from opslib.lab.resources.search import clusters, documents, indices, snapshots
from opslib.lab.resources.search.asked import Asked, Json, Problem, index
from opslib.lab.resources.search.indices import Index


def _settings_of(asked: Asked, name: str, each: Index) -> Json:
    fault = asked.state["fault"].get("blocks", {})
    blocks: Json = {"blocks": {fault[name]: "true"}} if name in fault else {}
    if each["closed"]:
        blocks |= {"verified_before_close": "true"}
    about = {"uuid": each["uuid"], "creation_date": str(each["created"]), "provided_name": name}
    return {"settings": {"index": {**each["settings"], **about, **blocks}}}


def settings(asked: Asked) -> Json:
    name = asked.names[0]
    if name and name != "_all":
        index(asked, name)
        name = indices.resolved(asked.place, name)
    flat = _flat if "flat_settings" in asked.query else dict
    return {
        key: {"settings": flat(_settings_of(asked, key, each)["settings"])}
        for key, each in asked.state["indices"].items()
        if name in (None, "_all", key)
    }


def _flat(tree: Json, above: str = "") -> Json:
    found: Json = {}
    for key, value in tree.items():
        found |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {above + key: value}
    return found


def cluster_settings(asked: Asked) -> Json:
    return {"persistent": asked.state["fault"].get("settings", {}), "transient": {}}


def mapping(asked: Asked) -> Json:
    found = index(asked, asked.names[0])
    return {indices.resolved(asked.place, asked.names[0]): {"mappings": found["mappings"]}}


def get_index(asked: Asked) -> Json:
    found, name = index(asked, asked.names[0]), indices.resolved(asked.place, asked.names[0])
    aliases: Json = {key: {} for key, of in asked.state["aliases"].items() if of == name}
    return {
        name: {
            "aliases": aliases,
            "mappings": found["mappings"],
            **_settings_of(asked, name, found),
        }
    }


def create_index(asked: Asked) -> Json:
    name, given = asked.names[0], asked.json()
    if indices.index_of(asked.place, name):
        reason = f"index [{name}] already exists"
        raise Problem(400, "resource_already_exists_exception", reason, name)
    if name != name.lower() or name[0] in "_-+":
        raise Problem(400, "invalid_index_name_exception", f"Invalid index name [{name}]", name)
    indices.made(asked.place, name, given.get("mappings"), given.get("settings", {}).get("index"))
    return {"acknowledged": True, "shards_acknowledged": True, "index": name}


def delete_index(asked: Asked) -> Json:
    name = asked.names[0]
    if name in asked.state["aliases"]:
        reason = f"The provided expression [{name}] matches an alias, specify the corresponding "
        raise Problem(400, "illegal_argument_exception", f"{reason}concrete indices instead.")
    index(asked, name)
    del asked.state["indices"][name]
    for alias, of in [*asked.state["aliases"].items()]:
        if of == name:
            del asked.state["aliases"][alias]
    return {"acknowledged": True}


def update_aliases(asked: Asked) -> Json:
    for action in asked.json().get("actions", ()):
        ((kind, about),) = action.items()
        if kind == "remove":
            if asked.state["aliases"].get(about["alias"]) != about["index"]:
                reason = f"aliases [{about['alias']}] missing"
                raise Problem(404, "aliases_not_found_exception", reason)
            del asked.state["aliases"][about["alias"]]
        else:
            index(asked, about["index"])
            asked.state["aliases"][about["alias"]] = about["index"]
    return {"acknowledged": True}


Operation = Callable[[Asked], Any]
_NAME = r"/([^/_][^/]*)"
ROUTES: tuple[tuple[str, str, Operation], ...] = (
    ("GET|HEAD", r"/?", clusters.banner),
    ("GET", r"/_cluster/health(?:/([^/]+))?", clusters.health),
    ("GET", r"/_cat/indices(?:/([^/]+))?", clusters.cat_indices),
    ("GET", r"/_cat/shards", clusters.cat_shards),
    ("GET", r"/_cat/aliases", clusters.cat_aliases),
    ("GET", r"/_cat/allocation", clusters.cat_allocation),
    ("GET|POST", r"/_cluster/allocation/explain", clusters.explain),
    ("GET", r"/_cluster/settings", cluster_settings),
    ("GET", r"(?:/([^/]+))?/_settings", settings),
    ("GET", rf"{_NAME}/_mapping", mapping),
    ("GET|POST", rf"{_NAME}/_count", documents.count),
    ("GET|POST", r"/_search/scroll", documents.scroll),
    ("GET|POST", rf"{_NAME}/_search", documents.search),
    ("GET|POST", rf"{_NAME}/_mget", documents.mget),
    ("POST", rf"(?:{_NAME})?/_bulk", documents.bulk),
    ("POST", r"/_aliases", update_aliases),
    ("GET", r"/_tasks", clusters.tasks),
    ("GET", r"/_snapshot(?:/_all)?", snapshots.repositories),
    ("GET", r"/_snapshot/([^/]+)/([^/]+)", snapshots.snapshots),
    ("POST", r"/_snapshot/([^/]+)/([^/]+)/_restore", snapshots.restore),
    ("GET|HEAD", _NAME, get_index),
    ("PUT", _NAME, create_index),
    ("DELETE", _NAME, delete_index),
)
