"""Reads an access log with apachelogs, a parser that is not ours: a line of JSON for each line."""

import json
import sys
from datetime import timezone

from apachelogs import COMBINED, InvalidEntryError, LogParser

# Bytes that are not UTF-8 are shown as they are escaped, which is what Tidegate does with them.
parser = LogParser(COMBINED, encoding="utf-8", errors="backslashreplace")
with open(sys.argv[1], encoding="utf-8", newline="\n") as log:
    for line in log:
        try:
            entry = parser.parse(line)
        except InvalidEntryError:
            print("null")
            continue
        time = entry.request_time.astimezone(timezone.utc)
        row = {
            "client": entry.remote_host,
            "ident": entry.remote_logname,
            "user": entry.remote_user,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "request_line": entry.request_line,
            "status": entry.final_status,
            "bytes": entry.bytes_sent,
            "referer": entry.headers_in["Referer"],
            "user_agent": entry.headers_in["User-Agent"],
        }
        print(json.dumps({name: value for name, value in row.items() if value is not None}))
