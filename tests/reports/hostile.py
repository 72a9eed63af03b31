"""Names that do harm where they are not made harmless, put wherever a stranger can choose a text."""

import copy

PAYLOADS = {
    "controls": "".join(map(chr, range(0x20))) + "\x7f\x80\x85\x9b2J\x1b[31m",
    "end of CDATA": "]]><x>&lt;![CDATA[ & \"'",
    "end of a script": "</script><script>alert(1)</script></style></title><img src=x onerror=alert(1)>",
    "workflow command": "::error::pwned\n::set-output name=x::y\r\n  ::stop-commands::z ##[add-path]/tmp",
    "workflow data": "50%0A::error::x%25, a:b,c",
    "formula": "=cmd|' /C calc'!A0",
    "signed formula": " -2+3+cmd|' /C calc'!A0",
    "at formula": "@SUM(1+1)*cmd|' /C calc'!A0",
    "bidi": "\u202egnp.\u2066exe\u200b\ufeff\u2028\u2029",
    "long": "x" * 10_000,
    "long words": "[a](http://x.y) " * 700,
    "markdown": "# h\n| a | `b` | <b>c</b> | [d](javascript:x) ![e](http://x.y/z) www.x.y http://x.y *f* ~~g~~ ```",
    "placeholders": "{0} {{1}} [x](1) %s %(a)s ${b} {% c %}",
    "surrogates": "\ud800\udfff \U0001f600 \uffff \U000e0041",
    "path": "../..\\:a,b c%20?d#e\u00e9",
    "empty": "",
}
"""By what they attack."""

FREE = {
    *(
        "name",
        "message",
        "detail",
        "subject",
        "backend",
        "formulation",
        "probe",
        "path",
        "captured",
        "text",
        "summary",
    ),
    *("advice", "statement", "fault", "reason", "remedy", "version", "python", "platform", "code", "target"),
    *("formulation_needed", "precision_needed", "precision", "dtype", "command", "probes", "ignore", "hidden", "own"),
    *("about", "case", "replay"),
}
"""Fields of the JSON report that hold texts of others, or might."""


def attacked(document, payload):
    """The document of a report with `payload` behind every text that a stranger may have written."""
    found = copy.deepcopy(document)
    found["cases"] = [_attacked(case, payload) for case in found["cases"]]
    found["baseline"] = _attacked(found["baseline"], payload)
    found["environment"] = _attacked(found["environment"], payload)
    found["command"] = [f"{part}{payload}" for part in found["command"]]
    found["rules"] = {f"{code}{payload}": _attacked(rule, payload) for code, rule in found["rules"].items()}
    return found


def _attacked(value, payload, name=""):
    if isinstance(value, dict):
        keys = {key: f"{key}{payload}" if name in {"evidence", "versions", "details"} else key for key in value}
        return {keys[key]: _attacked(entry, payload, key) for key, entry in value.items()}
    if isinstance(value, list):
        return [_attacked(entry, payload, name) for entry in value]
    # Before and behind: some attacks work at the beginning of a text, some at its end.
    return f"{payload}{value}{payload}" if isinstance(value, str) and name in FREE else value
