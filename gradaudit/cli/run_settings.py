"""What flags, environment and project file ask of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradaudit.pipeline import Settings


def run_settings(chosen: Mapping[str, Any], origins: Mapping[str, str], command: tuple[str, ...]) -> Settings:
    """The settings of a run; what none of them names has its default.

    `chosen` holds values by the names of their flags without dashes, `origins` where each of them stood, for
    messages. Raises FlagError where a value is wrong.
    """
    from gradaudit.cli import amounts
    from gradaudit.pipeline import Settings
    from gradaudit.rules import registry
    from gradaudit.specs import shards

    select, ignore = amounts.codes(chosen.get("select")), amounts.codes(chosen.get("ignore"))
    registry.check_prefixes(select, origins.get("select", ""))
    registry.check_prefixes(ignore, origins.get("ignore", ""))
    given: dict[str, Any] = {"prove": bool(chosen.get("prove")), "fail_fast": bool(chosen.get("fail-fast"))}
    if chosen.get("shard") is not None:
        given["shard"] = shards.parsed(chosen["shard"], "--shard")
    if chosen.get("resume"):
        given["resume"] = Path(chosen["resume"])
    if "max-findings" in chosen:
        given["max_findings"] = amounts.whole(chosen["max-findings"], 0, origins["max-findings"])
    if "timeout" in chosen:
        given["timeout"] = amounts.seconds(chosen["timeout"], origins["timeout"])
    if "startup-timeout" in chosen:
        given["startup_timeout"] = amounts.seconds(chosen["startup-timeout"], origins["startup-timeout"])
    if "max-memory" in chosen:
        given["max_memory"] = amounts.byte_count(chosen["max-memory"], origins["max-memory"])
    if "jobs" in chosen:
        given["jobs"] = amounts.whole(chosen["jobs"], 1, origins["jobs"])
    if "seed" in chosen:
        given["seed"] = amounts.whole(chosen["seed"], 0, origins["seed"])
    if "fail-on" in chosen:
        given["fail_on"] = amounts.severity(chosen["fail-on"], origins["fail-on"])
    return Settings(select=select, ignore=ignore, command=command, **given)
