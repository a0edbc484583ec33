"""Which checks a report makes of a target: those of the procedures, for what its file describes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from opslib import (
    access,
    alarms,
    buckets,
    caches,
    changes,
    costs,
    databases,
    deployments,
    edge,
    functions,
    health,
    jobs,
    logs,
    mail,
    metrics,
    network,
    queues,
    recovery,
    search,
    secrets,
    services,
    tables,
    users,
    workflows,
)
from opslib.core import Connection, Findings, Json, UsageError
from opslib.reports import certificates
from opslib.reports.changed import check_changes, judged_deployments
from opslib.reports.undescribed import check_undescribed

_LONG_SECONDS = 900  # a statement of this length is worth a line in a report of a day

Check = Callable[[Connection], Findings]


def checks(ops: Connection, hours: float) -> list[tuple[str, Check]]:
    """The checks of each section, for what the target's file describes.

    They are those of the procedures: `tests/reports/test_sections.py` names each that a procedure
    makes and the report does not, with the reason.
    """
    facts, minutes = ops.target.facts, hours * 60
    api, database = facts.get("api", {}), facts.get("database", {})
    # By section, and the part of the file that it needs.
    every: dict[tuple[str, str], list[Check]] = {
        ("health", "api"): _if_in(api, probes=health.check_probes, deep=health.check_dependencies),
        ("metrics", "metrics"): [
            partial(metrics.check_metrics, hours=hours),
            metrics.check_silence,
            metrics.check_limits,
        ],
        ("metrics", "functions"): [metrics.check_silence] if "metrics" not in facts else [],
        ("metrics", "database"): [metrics.check_limits] if "metrics" not in facts else [],
        ("alarms", "alarms"): [
            alarms.check_alarms,
            alarms.check_reach,
            alarms.check_silences,
        ],
        ("queues", "queues"): [queues.check_dead_letters, queues.check_queues],
        ("jobs", "jobs"): [
            partial(look, kind=kind)
            for kind in facts.get("jobs", {})
            for look in (
                jobs.check_stale,
                partial(jobs.check_jobs, minutes=minutes),
                partial(jobs.check_states, minutes=minutes),
            )
        ],
        ("workflows", "workflows"): [
            partial(workflows.check_executions, minutes=minutes),
            workflows.check_objects,
        ],
        ("functions", "functions"): [
            functions.check_configuration,
            partial(functions.check_functions, minutes=minutes),
            functions.check_sources,
            partial(functions.check_shares, hours=hours),
            partial(judged_deployments, hours=hours),
        ],
        ("functions", "prefix"): [check_undescribed],
        ("functions", "services"): [
            services.check_services,
            services.check_tasks,
            services.check_startable,
            services.check_targets,
            services.check_scaling,
            services.check_policies,
            partial(services.check_answers, minutes=minutes),
            *(
                partial(services.check_latency, service=key, minutes=minutes)
                for key, of in facts.get("services", {}).items()
                if "target_group" in of
            ),
        ],
        # where there are functions, their errors are read together with those of services
        ("errors", "services"): []
        if "functions" in facts
        else [
            partial(logs.check_errors, minutes=minutes),
            partial(logs.check_needs, minutes=minutes),
        ],
        ("database", "cache"): [
            caches.check_cache,
            caches.check_slow,
            *(
                partial(caches.check_stored, keys=name)
                for name, of in facts.get("cache", {}).get("keys", {}).items()
                if "stored" in of
            ),
            *([caches.check_throttled] if "throttle" in facts.get("cache", {}) else []),
        ],
        ("errors", "logs"): _if_in(facts.get("logs", {}), requests=logs.check_requests),
        ("errors", "tables"): [partial(tables.check_throttles, minutes=minutes)],
        ("backups", "tables"): [tables.check_backups],
        ("network", "edge"): [edge.check_firewall],
        ("deployments", "maintenance_mode"): [edge.check_mode],
        ("costs", "costs"): [costs.check_costs],
        ("mail", "mail"): [
            mail.check_account,
            mail.check_reputation,
            mail.check_senders,
            mail.check_set,
            partial(mail.check_suppressed, days=hours / 24),
            partial(mail.check_refusals, minutes=minutes),
        ],
        ("database", "database"): [
            databases.check_status,
            databases.check_connections,
            databases.check_load,
            *([metrics.check_levels] if {"cluster", "instance"} & database.keys() else []),
            partial(databases.check_activity, seconds=_LONG_SECONDS),
            databases.check_statements,
            databases.check_catalogue,
            databases.check_conditions,
            partial(databases.check_events, hours=hours),
            partial(databases.check_password, settled_hours=24),
            *_if_in(
                database,
                cluster=databases.check_capacity,
                instance=databases.check_storage,
                migrations_head=databases.check_migrations,
                migrate=databases.check_runs,
                queries=databases.check_expected,
            ),
        ],
        ("errors", "functions"): [
            partial(logs.check_errors, minutes=minutes),
            partial(logs.check_needs, minutes=minutes),
        ],
        ("database", "quotas"): [
            partial(databases.check_quotas, quota=quota) for quota in facts.get("quotas", {})
        ],
        ("backups", "database"): [databases.check_backups],
        # a rehearsal is of months: recovery/readiness tells of it, on a schedule of its own
        ("backups", "recovery"): _if_in(database, cluster=recovery.check_point)
        or _if_in(database, instance=recovery.check_point),
        ("database", "recovery"): [recovery.check_integrity] if database else [],
        ("buckets", "buckets"): [
            partial(buckets.check_bucket, bucket=bucket) for bucket in facts.get("buckets", {})
        ],
        ("buckets", "orphans"): [buckets.check_named],
        ("search", "search"): [
            search.check_domain,
            search.check_cluster,
            search.check_writes,
            search.check_searches,
            search.check_indices,
            search.check_snapshots,
        ],
        ("buckets", "uploads"): [
            partial(look, upload=upload)
            for upload in facts.get("uploads", {})
            for look in (buckets.check_cors, buckets.check_uploads)
        ],
        ("health", "users"): _if_in(facts.get("users", {}), clients=users.check_clients),
        ("secrets", "access"): [access.check_keys, access.check_roles],
        ("secrets", "secrets"): [secrets.check_ages, secrets.check_taken],
        ("certificates", "certificates"): [certificates.check_expiry],
        ("network", "network"): [
            *_if_in(facts.get("network", {}), endpoints=network.check_endpoints),
            network.check_routes,
        ],
        ("deployments", "maintenance"): [changes.check_window],
        ("deployments", "terraform"): _if_in(
            facts.get("terraform", {}), state=deployments.check_states, plan=deployments.check_drift
        ),
    }
    described = [
        (name, look) for (name, part), looks in every.items() if part in facts for look in looks
    ]
    if not described:
        needed = ", ".join(dict.fromkeys(part for _, part in every))
        raise UsageError(
            f"parameters/targets/{ops.target.key}.yaml describes nothing to look at: "
            f"none of {needed}. Add what it has."
        )
    described += [("changes", partial(check_changes, hours=hours))]
    if changes.is_described(ops):
        remembered = partial(changes.check_configuration, next="changes/configuration")
        recent = partial(changes.check_recent, minutes=hours * 60)
        suspicion = partial(changes.check_suspicion, minutes=hours * 60, beside=True)
        described += [("access", changes.check_trail), ("access", suspicion)]
        return [("configuration", remembered), *described, ("before", recent)]
    return described


def _if_in(part: Json, **looks: Check) -> list[Check]:
    """The checks whose fact is in this part of the file."""
    return [look for fact, look in looks.items() if fact in part]
