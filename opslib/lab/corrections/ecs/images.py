"""Scans of images in ECR, of which moto's all find the same one weakness.

An image's `lab_scan` says how many of each severity were found: `{"CRITICAL": 2}`.
"""

from typing import Any

from opslib.lab.aws.operations import Call, Result, answers


@answers("ecr", "DescribeImageScanFindings")
def describe_image_scan_findings(call: Call) -> Result:
    answer: Any = call.moto()  # ScanNotFoundException, ImageNotFoundException
    repository = call.backend().repositories[call.params["repositoryName"]]
    wanted = call.params["imageId"]
    image = repository._get_image(wanted.get("imageTag"), wanted.get("imageDigest"))
    counts = image.__dict__.get("lab_scan", {"LOW": 3})
    names = [
        {"name": f"CVE-2026-{1000 * len(severity) + at}", "severity": severity}
        for severity, many in counts.items()
        for at in range(many)
    ]
    found = answer["imageScanFindings"] | {"findings": names, "findingSeverityCounts": counts}
    return {**answer, "imageScanFindings": found}
