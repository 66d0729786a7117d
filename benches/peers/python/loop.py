"""Serves one of the functions of this folder on the Lambda Runtime API: `python loop.py NAME`.

The least that a runtime can do, so that what is measured is the function.
"""

import http.client
import importlib
import json
import os
import sys


class Context:
    """What Powertools wants to see of a context."""

    function_name = "peer"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:peer"
    aws_request_id = ""

    def get_remaining_time_in_millis(self):
        return 60_000


def main():
    handler = importlib.import_module(sys.argv[1]).handler
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    base = "/2018-06-01/runtime/invocation/"
    context = Context()
    while True:
        api.request("GET", base + "next")
        answer = api.getresponse()
        context.aws_request_id = answer.getheader("Lambda-Runtime-Aws-Request-Id")
        event = json.loads(answer.read())
        body = json.dumps(handler(event, context)).encode()
        api.request("POST", base + context.aws_request_id + "/response", body)
        api.getresponse().read()


main()
