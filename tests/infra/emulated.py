"""Writes the templates for an emulator: expanded, with the code that was built, and without what the
emulator lacks.

    emulated.py INTO CODE [NAME=VALUE ...]

INTO takes a file a template. CODE holds a folder for each function, with its bootstrap. The values
are parameters that differ from their defaults. What is changed here is checked elsewhere, as it is:
by the expansion and by the linters.
"""

import json
import os
import platform
import sys

from expand import expanded, read

HERE = "infra"

# What was built is run here.
PROCESSOR = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"


def local(name, resource, folder):
    """`sam deploy` uploads what lies here, and puts its address there; nothing of the emulator
    expands a nested template, so that they are expanded already."""
    if resource["Type"] == "AWS::Lambda::Function":
        resource["Properties"]["Code"] = os.path.join(folder, name)
        variables = resource["Properties"]["Environment"]["Variables"]
        if "TIDEGATE_JOURNAL" in variables:
            # What runs there runs on this machine, beside others.
            variables["TIDEGATE_JOURNAL"] = os.path.join(folder, "journal")
    if resource["Type"] == "AWS::CloudFormation::Stack":
        resource["Properties"]["TemplateURL"] = name + ".json"


def one_metric(resource):
    """Alarms on metric math are refused: one watches the first of its metrics instead."""
    properties = resource.get("Properties", {})
    if resource["Type"] != "AWS::CloudWatch::Alarm" or "Metrics" not in properties:
        return
    stat = next(m["MetricStat"] for m in properties.pop("Metrics") if "MetricStat" in m)
    properties.update(stat["Metric"], Statistic=stat["Stat"], Period=stat["Period"])


def known(resources):
    """Saved queries of Athena are refused."""
    return {k: v for k, v in resources.items() if v["Type"] != "AWS::Athena::NamedQuery"}


def first_pieces(condition, values):
    """A condition takes no text apart: the first piece of a parameter is put there."""
    if isinstance(condition, list):
        return [first_pieces(one, values) for one in condition]
    if not isinstance(condition, dict):
        return condition
    index, split = condition.get("Fn::Select", (None, None))
    if index == 0:
        by, value = split["Fn::Split"]
        return values[value["Ref"]].split(by)[0]
    return {key: first_pieces(value, values) for key, value in condition.items()}


def main(into, folder, *given):
    for file in sorted(os.listdir(HERE)):
        path = os.path.join(HERE, file)
        written, template = read(path)["Resources"], expanded(path)
        template["Resources"] = known(template["Resources"])
        for name, resource in template["Resources"].items():
            source = written.get(name, {}).get("Properties", {})
            source = source.get("CodeUri", source.get("Location", ""))
            local(os.path.splitext(os.path.basename(source))[0], resource, folder)
            one_metric(resource)
        if "Architecture" in template["Parameters"]:
            template["Parameters"]["Architecture"]["Default"] = PROCESSOR
        values = {name: of.get("Default", "") for name, of in template["Parameters"].items()}
        values.update(value.split("=", 1) for value in given)
        template["Conditions"] = first_pieces(template.get("Conditions", {}), values)
        with open(os.path.join(into, file.replace(".yaml", ".json")), "w", encoding="utf-8") as out:
            json.dump(template, out, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
