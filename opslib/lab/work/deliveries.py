"""What an event source mapping does: hands a queue's messages to its function.

Those of jobs have workers of their own. A message that fails comes back when its visibility timeout
ends, and goes to the dead letters when it was received too often.
"""

import logging
from typing import Any

from opslib.lab.corrections.lambdas import invocations
from opslib.lab.places import Place
from opslib.lab.resources import names, queues

log = logging.getLogger("opslib.lab")


def tick(place: Place) -> None:
    """Hands over what has come."""
    for flow in place.facts.get("workflows", {}).values():
        if not {"queue", "function"} <= flow.keys():
            continue
        queue = str(place.facts["queues"][flow["queue"]]["name"])
        if queues.handed_over(place, queue) and queues.depth(place, queue):
            _deliver(place, queue, flow["function"])


def _deliver(place: Place, queue: str, key: str) -> None:
    sqs, url = place.client("sqs"), queues.queue_url(place, queue)
    asked = {"AttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, **asked).get("Messages", [])
    records = [
        {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "eventSource": "aws:sqs",
            "eventSourceARN": names.arn(place, "sqs", queue),
        }
        for message in found
    ]
    failed = _failed(place, key, records)
    for record in records:
        if record["messageId"] not in failed:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=record["receiptHandle"])


def _failed(place: Place, key: str, records: list[dict[str, Any]]) -> set[str]:
    """The ids of messages that the function did not do: all of them when it failed as a whole."""
    try:
        alias = place.facts["functions"][key].get("alias")
        answer = invocations.run(place, names.function(place, key), {"Records": records}, alias)
    except RuntimeError as exc:
        log.info("%s: %s", key, exc)
        return {record["messageId"] for record in records}
    told = answer.get("batchItemFailures", []) if isinstance(answer, dict) else []
    return {str(each["itemIdentifier"]) for each in told}
