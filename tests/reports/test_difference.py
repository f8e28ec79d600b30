"""What differs between two documents, and a report as known at two moments."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from tarazy.reports.build import Asked, ReportError, gather_report, stem_of
from tarazy.reports.canonical import canonical_json
from tarazy.reports.difference import Difference, differences
from tarazy.reports.layout import Report
from tests.reports import world


def test_rows_are_compared_with_their_own() -> None:
    """By what names them: a new first row moves nothing."""
    before = {"rows": [{"party": "a", "sat": 1}, {"party": "b", "sat": 2}], "kind": "x", "list": [1, 2]}
    after = {"rows": [{"party": "0", "sat": 9}, {"party": "a", "sat": 1}, {"party": "b", "sat": 3}], "list": [1]}
    assert list(differences(before, after)) == [
        Difference("rows[b].sat", 2, 3),
        Difference("rows[0]", None, {"party": "0", "sat": 9}),
        Difference("kind", "x", None),
        Difference("list[1]", 2, None),
    ]


@pytest.mark.parametrize("value", [{"a": [{"party": "x"}, {"party": "x"}]}, [], None, 1, "1", {"a": {"b": [[1]]}}])
def test_nothing_differs_from_itself(value: object) -> None:
    """Also where rows have one name."""
    assert list(differences(value, value)) == []
    assert list(differences(value, "other"))


def test_as_known_earlier_a_report_stays_and_as_known_later_its_differences_are_listed(connection: Connection) -> None:
    """Corrections after a quarter's end change only what is asked as known after them (invariant 6)."""
    now = world.LATER + timedelta(days=9)

    def built(asked: Asked) -> Report:
        law = world.assumed_law()
        return gather_report(connection, "accreditation", world.MOMENT, world.SETTINGS, law, now, asked)

    first = canonical_json(built(Asked()))
    world.happen_later(connection)
    assert canonical_json(built(Asked())) == first
    later = built(Asked(known_at=world.LATER + timedelta(hours=1)))
    assert stem_of(later) == "accreditation-20261120T093000Z-known-20261121T103000Z"
    found = {
        each.place: (each.before, each.after)
        for each in differences(json.loads(first), json.loads(canonical_json(later)))
    }
    assert found["miners.sites[ekibastuz-1].name"] == ("Екібастұз-1", "Екібастұз-2")
    assert found["energy.sites[temirtau].metered_wh"] == (21_600, 27_999)
    assert found["miners.miners[altyn].admitted"] == (True, False)
    assert "audit.root" in found
    assert not any(place.startswith("rewards") for place in found)
    with pytest.raises(ReportError, match="nothing was known"):
        built(Asked(known_at=world.MOMENT - timedelta(hours=1)))
