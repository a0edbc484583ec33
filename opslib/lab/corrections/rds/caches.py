"""ElastiCache.

Moto's replication groups have no clusters, its clusters neither security groups nor parameters.
"""

from typing import Any

from opslib.lab.aws.operations import Call, Result, answers

_OF_A_CLUSTER = (
    "CacheNodeType",
    "CacheParameterGroupName",
    "CacheSubnetGroupName",
    "EngineVersion",
    "SecurityGroupIds",
    "TransitEncryptionEnabled",
)


@answers("elasticache", "CreateReplicationGroup")
def create_replication_group(call: Call) -> Result:
    result = call.moto()
    name = call.params["ReplicationGroupId"]
    given = {each: call.params[each] for each in _OF_A_CLUSTER if each in call.params}
    client = call.world.client(call.service, call.account, call.region, "operator")
    for member in result["ReplicationGroup"]["MemberClusters"]:
        client.create_cache_cluster(
            CacheClusterId=member, ReplicationGroupId=name, Engine="redis", **given
        )
    return result


@answers("elasticache", "ModifyReplicationGroup")
def modify_replication_group(call: Call) -> Result:
    """What is of its clusters goes to them; the rest is moto's."""
    for held in call.backend().cache_clusters.values():
        if held.replication_group_id == call.params["ReplicationGroupId"]:
            if groups := call.params.get("SecurityGroupIds"):
                held.security_group_ids = list(groups)
            held.cache_parameter_group_name = call.params.get(
                "CacheParameterGroupName", held.cache_parameter_group_name
            )
    return call.moto()


@answers("elasticache", "DescribeCacheClusters")
def describe_cache_clusters(call: Call) -> Result:
    result = call.moto()
    for shown in result["CacheClusters"]:
        held = call.backend().cache_clusters[shown["CacheClusterId"]]
        groups = held.security_group_ids
        shown["SecurityGroups"] = [{"SecurityGroupId": g, "Status": "active"} for g in groups]
        shown["CacheParameterGroup"] = {
            "CacheParameterGroupName": held.cache_parameter_group_name,
            "ParameterApplyStatus": "in-sync",
        }
    return result


@answers("elasticache", "ModifyCacheParameterGroup")
def modify_cache_parameter_group(call: Call) -> Result:
    name = call.params["CacheParameterGroupName"]
    for given in call.params["ParameterNameValues"]:
        _parameters(call, name)[given["ParameterName"]] = given.get("ParameterValue", "")
    return {"CacheParameterGroupName": name}


@answers("elasticache", "DescribeCacheParameters")
def describe_cache_parameters(call: Call) -> Result:
    """Those that somebody set; what the engine sets itself is not held."""
    held = _parameters(call, call.params["CacheParameterGroupName"])
    shown = [{"ParameterName": k, "ParameterValue": v, "Source": "user"} for k, v in held.items()]
    return {"Parameters": shown}


def _parameters(call: Call, group: str) -> dict[str, Any]:
    every: dict[str, dict[str, Any]] = call.backend().__dict__.setdefault("lab_parameters", {})
    return every.setdefault(group, {})
