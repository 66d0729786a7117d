"""Access log lines to JSON with the client's place, after the blueprint of a Firehose function."""

import base64
import json
import os
import re
from datetime import datetime, timezone

import maxminddb

LINE = re.compile(
    r'^(\S+) (\S+) (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-) '
    r'"((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"\s*$'
)
PLACES = maxminddb.open_database(os.environ["PLACES"], maxminddb.MODE_MMAP_EXT)
FILTER = "FILTER" in os.environ


def row(line):
    found = LINE.match(line)
    if found is None:
        return None
    client, ident, user, time, request, status, size, referer, agent = found.groups()
    time = datetime.strptime(time, "%d/%b/%Y:%H:%M:%S %z").astimezone(timezone.utc)
    method, path, protocol = request.split(" ")
    row = {
        "client": client,
        "ident": ident,
        "user": user,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "method": method,
        "path": path,
        "protocol": protocol,
        "status": int(status),
        "bytes": None if size == "-" else int(size),
        "referer": referer,
        "user_agent": agent,
    }
    return {name: value for name, value in row.items() if value not in (None, "-")}


def place(client):
    try:
        found = PLACES.get(client)
    except ValueError:
        return {}
    if found is None:
        return {}
    subdivisions = found.get("subdivisions", [{}])
    location = found.get("location", {})
    return {
        "geo_country": found.get("country", {}).get("iso_code"),
        "geo_region": subdivisions[0].get("names", {}).get("en"),
        "geo_city": found.get("city", {}).get("names", {}).get("en"),
        "geo_latitude": location.get("latitude"),
        "geo_longitude": location.get("longitude"),
        "geo_time_zone": location.get("time_zone"),
    }


def handler(event, context):
    records = []
    for record in event["records"]:
        line = base64.b64decode(record["data"]).decode("utf-8")
        made = row(line)
        if made is None:
            answer = {"result": "ProcessingFailed", "data": record["data"]}
        elif FILTER and not (made["status"] >= 400 and not made["path"].startswith("/images")):
            answer = {"result": "Dropped"}
        else:
            made.update(place(made["client"]))
            data = (json.dumps(made) + "\n").encode("utf-8")
            answer = {"result": "Ok", "data": base64.b64encode(data).decode("ascii")}
        answer["recordId"] = record["recordId"]
        records.append(answer)
    return {"records": records}
