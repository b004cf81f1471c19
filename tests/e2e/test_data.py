"""The installed `nasicon-ml data`."""

from __future__ import annotations

import json

from tests.e2e.conftest import Command


def test_nearest_pellet_of_prediction_can_be_shown_found_and_cited(command: Command) -> None:
    predicted = command("predict", "LATP x=0.4", "--atmosphere", "Ar", "--neighbours", "1")
    (line,) = (line for line in predicted.stdout.splitlines() if "distance" in line and line.startswith("  1. "))
    pellet = line.split()[-1]
    shown = json.loads(command("data", "show", pellet, "--json").stdout)
    assert shown["pellet"]["pellet_id"] == pellet
    source = shown["source"]["source"]
    found = json.loads(command("data", "find", "--source", source, "--formula", "LATP x=0.4", "--json").stdout)
    assert pellet in {row["pellet_id"] for row in found["pellets"]}
    cited = command("data", "cite", pellet)
    assert (cited.returncode, cited.stderr) == (0, "")
    assert cited.stdout.startswith("@")
