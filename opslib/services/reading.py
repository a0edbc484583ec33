"""ECS services as they are: the service, its tasks also where they stopped, its revisions."""

from functools import cached_property, partial
from itertools import chain

from opslib.core import (
    Connection,
    Frame,
    Json,
    Kind,
    NotFound,
    Refused,
    Thing,
    batched,
    beside,
    dtypes,
    frame,
    services,
)

SERVICE = Kind(**beside(__file__, "ecs")["kind"])
REVISIONS = dtypes("""
    revision int64
    live     bool
    deployed utc
    outcome  str
    image    str
    cpu      str
    memory   str
    arn      str
""")


class Service(services.Service):
    """The same, with its deployments, and as a thing that is changed."""

    @property
    def thing(self) -> Thing:
        return Thing(SERVICE, self.name, {"cluster": str(self.facts["cluster"])})

    @property
    def dimensions(self) -> Json:
        """What names it in CloudWatch."""
        return {"ClusterName": self.facts["cluster"], "ServiceName": self.name}

    def require_ecs(self, instead: str) -> None:
        """Raises Refused: something else than ECS deploys it."""
        kind = self.described.get("deploymentController", {}).get("type", "ECS")
        if kind != "ECS":
            raise Refused(f"{self.key} is deployed by {kind}: {instead}. Nothing was changed.")

    def require_settled(self) -> None:
        """Raises Refused: a deployment of it is under way."""
        for each in self.described["deployments"]:
            if each.get("rolloutState") == "IN_PROGRESS":
                raise Refused(
                    f"A deployment of {self.key} is under way (revision "
                    f"{number(each['taskDefinition'])}). Nothing was changed; wait for it, or take "
                    "it back: services/rollback."
                )

    def tasks(self, *statuses: str) -> list[Json]:
        """Its tasks whose desired status is one of these: RUNNING, and STOPPED of the last hour.

        ECS DescribeTasks, with tasks of none of its services left out.
        """
        return services.tasks(self.ops, self.facts["cluster"], self.name, *statuses)

    @property
    def target_groups(self) -> list[str]:
        """ARNs of the target groups of its load balancers."""
        told = self.described.get("loadBalancers", ())
        return [each["targetGroupArn"] for each in told if "targetGroupArn" in each]

    @cached_property
    def stopped(self) -> list[Json]:
        return self.tasks("STOPPED")

    @cached_property
    def latest(self) -> list[Json]:
        """Its last deployments: those by which it is judged."""
        return self.deployments(3)

    def deployments(self, newest: int = 60) -> list[Json]:
        """Its deployments of the last 90 days, newest first, each with its `taskDefinition`.

        ECS ListServiceDeployments, DescribeServiceRevisions.
        """
        where = {"cluster": self.facts["cluster"], "service": self.name}
        found = self.ops.pages(
            "ecs", "list_service_deployments", "serviceDeployments", limit=newest, **where
        )
        arns = [each["targetServiceRevisionArn"] for each in found]
        read = partial(self.ops.call, "ecs", "describe_service_revisions")
        parts = map(list, batched(arns, 20))
        answers = self.ops.gather(*(partial(read, serviceRevisionArns=part) for part in parts))
        every = chain.from_iterable(answer["serviceRevisions"] for answer in answers)
        of = {each["serviceRevisionArn"]: each["taskDefinition"] for each in every}
        return [
            each | {"taskDefinition": of.get(each["targetServiceRevisionArn"])} for each in found
        ]


def number(arn: str) -> int:
    """The revision of a task definition's ARN."""
    return int(arn.rpartition(":")[2])


def list_revisions(ops: Connection, service: str) -> Frame:
    """Its newest active revisions, and how the last deployment of each ended. Columns: REVISIONS.

    `outcome`: SUCCESSFUL, or how else ECS says that it ended; empty where none is known, as after
    90 days.
    """
    known = Service(ops, service)
    present = known.described["taskDefinition"]
    family = present.rpartition("/")[2].rpartition(":")[0]
    arns, deployments = ops.gather(
        partial(
            ops.pages,
            "ecs",
            "list_task_definitions",
            "taskDefinitionArns",
            limit=15,
            familyPrefix=family,
            sort="DESC",
        ),
        known.deployments,
    )
    last = {each["taskDefinition"]: each for each in reversed(deployments)}
    described = ops.each(known.definition, [*dict.fromkeys([*arns, present])])
    rows = [
        {
            "revision": number(arn),
            "live": arn == present,
            "deployed": last.get(arn, {}).get("createdAt"),
            "outcome": last.get(arn, {}).get("status", ""),
            "image": known.container(each)["image"],
            "cpu": each.get("cpu", ""),
            "memory": each.get("memory", ""),
            "arn": arn,
        }
        for arn, each in described.items()
    ]
    return frame(sorted(rows, key=lambda row: -row["revision"]), REVISIONS)


def find_image(ops: Connection, image: str) -> Json | None:
    """An image as ECR describes it (DescribeImages); None for one that is not in ECR.

    Raises NotFound, and OpsError for what ECR does not tell.
    """
    named = in_ecr(image)
    if not named:
        return None
    ids = [named.pop("imageId")]
    found: Json = ops.call("ecr", "describe_images", **named, imageIds=ids)["imageDetails"][0]
    return found


def in_ecr(image: str) -> Json:
    """Registry, repository and imageId of an image's name; empty for one that is not in ECR."""
    host, _, rest = image.partition("/")
    if ".dkr.ecr." not in host:
        return {}
    mark = "@" if "@" in rest else ":"
    name, _, tag = rest.partition(mark)
    return {
        "registryId": host.partition(".")[0],
        "repositoryName": name,
        "imageId": {"imageDigest": tag} if mark == "@" else {"imageTag": tag or "latest"},
    }


def lacks_image(ops: Connection, image: str) -> str:
    """Why an image of ECR cannot be pulled; empty when it can, or when it is not in ECR.

    Raises OpsError for what ECR does not tell.
    """
    try:
        find_image(ops, image)
    except NotFound as exc:
        return str(exc)
    return ""
