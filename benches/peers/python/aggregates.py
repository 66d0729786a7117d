"""A batch of KPL aggregates of JSON records, with another project's codec."""

import base64
import json

from aws_kinesis_agg.deaggregator import iter_deaggregate_records


def handler(event, context):
    total = 0
    for record in iter_deaggregate_records(event["Records"]):
        order = json.loads(base64.b64decode(record["kinesis"]["data"]))
        total += order["total_cents"]
    return {"batchItemFailures": []}
