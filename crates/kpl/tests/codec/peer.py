"""The codec of the Python package aws_kinesis_agg, as a filter.

Reads one JSON document a line and answers with one:
  {"encode": [RECORD, ...]}  ->  {"aggregate": HEX}
  {"decode": HEX}            ->  {"records": [RECORD, ...]}
where RECORD is {"partition_key": TEXT, "explicit_hash_key": TEXT or null, "data": HEX}.
"""

import base64
import json
import sys

from aws_kinesis_agg import aggregator, deaggregator


def encode(records):
    aggregate = aggregator.AggRecord()
    for record in records:
        taken = aggregate.add_user_record(
            record["partition_key"], bytes.fromhex(record["data"]), record["explicit_hash_key"]
        )
        assert taken, "the aggregate is full"
    _, _, data = aggregate.get_contents()
    return {"aggregate": data.hex()}


def decode(data):
    kinesis = {
        "kinesisSchemaVersion": "1.0",
        "sequenceNumber": "1",
        "partitionKey": "a",
        "approximateArrivalTimestamp": 0,
        "data": base64.b64encode(bytes.fromhex(data)).decode(),
    }
    records = [found["kinesis"] for found in deaggregator.deaggregate_records([{"kinesis": kinesis}])]
    assert [record["subSequenceNumber"] for record in records] == list(range(len(records)))
    return {
        "records": [
            {
                "partition_key": record["partitionKey"],
                "explicit_hash_key": record["explicitHashKey"],
                "data": base64.b64decode(record["data"]).hex(),
            }
            for record in records
        ]
    }


for line in sys.stdin:
    request = json.loads(line)
    answer = encode(request["encode"]) if "encode" in request else decode(request["decode"])
    print(json.dumps(answer), flush=True)
