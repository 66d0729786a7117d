"""Expands a SAM template into the CloudFormation that would be deployed, as JSON on stdout.

What the expansion makes of a serverless function (its mapping, its permissions) is checked by
nobody in the short form: linters skip it.
"""

import json
import os
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samtranslator.public.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

# What `sam deploy` uploads first, and replaces by an address.
UPLOADED = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::Application": "Location"}


class ManagedPolicies:
    """The templates name no managed policy, so nothing is asked of AWS."""

    def load(self):
        return {}


def read(path):
    with open(path, encoding="utf-8") as file:
        return yaml_parse(file.read())


def expanded(path):
    template = read(path)
    parameters = {
        name: parameter["Default"]
        for name, parameter in template.get("Parameters", {}).items()
        if "Default" in parameter
    }
    for resource in template["Resources"].values():
        key = UPLOADED.get(resource["Type"])
        if key == "CodeUri":
            resource["Properties"][key] = "s3://bucket/code.zip"
        elif key:
            resource["Properties"][key] = "https://s3.amazonaws.com/bucket/template.yaml"
    try:
        return transform(template, parameters, ManagedPolicies())
    except InvalidDocumentException as error:
        sys.exit(f"{path}: {[cause.message for cause in error.causes]}")


if __name__ == "__main__":
    json.dump(expanded(sys.argv[1]), sys.stdout, indent=1)
