"""Judges values by a JSON Schema, as an editor or a linter would.

    validate.py < {"schema": …, "values": […]}

Prints a JSON list: null for each value that suits, otherwise the first fault.
"""

import json
import sys

from jsonschema import Draft202012Validator

asked = json.load(sys.stdin)
Draft202012Validator.check_schema(asked["schema"])
validator = Draft202012Validator(asked["schema"])


def verdict(value):
    fault = next(validator.iter_errors(value), None)
    return fault and f"{fault.json_path}: {fault.message}"[:500]


print(json.dumps([verdict(value) for value in asked["values"]]))
