"""A loop around boto3's put_records, as one writes it: `python sending.py STREAM FILE`.

Five hundred records at a time, and those that were refused again after a pause.
"""

import json
import sys
import time

import boto3
from botocore.config import Config

MOST = 500


def put(kinesis, stream, records):
    pause = 0.05
    while records:
        answer = kinesis.put_records(StreamName=stream, Records=records)
        if not answer["FailedRecordCount"]:
            return
        refused = zip(records, answer["Records"])
        records = [record for record, result in refused if "ErrorCode" in result]
        time.sleep(pause)
        pause = min(2 * pause, 2)


def main():
    stream, path = sys.argv[1:]
    kinesis = boto3.client("kinesis", config=Config(parameter_validation=False))
    records = []
    with open(path, "rb") as lines:
        for line in lines:
            key = json.loads(line)["user"]
            records.append({"Data": line.rstrip(b"\n"), "PartitionKey": key})
            if len(records) == MOST:
                put(kinesis, stream, records)
                records = []
    put(kinesis, stream, records)


main()
