"""Profiles, letters and answers: what is refused, with which words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tarazy.reports.canonical import canonical_json
from tarazy.reports.delivery.answer import Answer, Outcome, judge
from tarazy.reports.delivery.letter import LetterError, compose
from tarazy.reports.delivery.profile import Profile, ProfileError, load_profile, load_profiles
from tarazy.reports.kept import read_kept
from tarazy.reports.signing.key import load_key
from tests.reports.keys import make

EXAMPLE = Path(__file__).parents[2] / "deploy" / "delivery" / "tax-authority.yaml"
TOLD = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
NOW = datetime(2026, 12, 2, tzinfo=UTC)


def changed(path: str, value: Any) -> dict[str, Any]:
    """The example with another value at a dotted path; None takes it away."""
    made = json.loads(json.dumps(TOLD))
    *above, last = path.split(".")
    place = made
    for name in above:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return dict(made)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("url", "http://kgd.example/v1", "url: documents leave this machine over https:// only"),
        ("url", "https://user:pass@kgd.example/v1", "url: must be https://, a host and a path, in ASCII and without"),
        ("url", "https://кгд.example/v1", "url: must be https://"),
        ("url", "https://{kind}.example/v1", "url: the host stands there as it is"),
        ("url", "https://kgd.example/{when}", "url: {when} is none of key, kind, period, version, digest"),
        ("headers", {"Authorization": "x"}, "headers: Authorization is set by the program"),
        ("headers", {"X\r\nY": "x"}, "must be the name of a header"),
        ("headers", {"X": "a\r\nb"}, "headers.X: must be one line of ASCII"),
        ("authentication", {"way": "magic"}, "authentication: none of the known ways"),
        ("authentication", {"way": "basic", "user": "u"}, "authentication.password_file: required key is missing"),
        ("body", {"value": 1}, "body: none of the known ways"),
        ("body.fields.period", {"from": "days.name", "az": "day"}, "body.fields.period.az: unknown key"),
        ("body.fields.period", "days.name", "body.fields.period: expected a mapping with"),
        ("body.fields.rows.fields.bin", {"from": "bin;drop"}, "must be a path such as days.name, or $key"),
        ("body", {"parts": {}}, "body.parts: "),
        ("body", {"parts": {'a"b': {"value": 1}}}, "must be the name of a part"),
        ("body", {"parts": {"a": {"parts": {}}}}, "body.parts.a: "),
        ("receipt.number", None, "receipt.number: required key is missing"),
        ("receipt.statuses", [500], "less than or equal to 499"),
        ("when_unsure", "ask", "inquiry belongs to when_unsure: ask"),
        ("timeout_seconds", 0, "timeout_seconds: Input should be greater than 0"),
        ("documents", [], "documents:"),
    ],
)
def test_a_faulty_profile_is_one_line(tmp_path: Path, path: str, value: Any, words: str) -> None:
    """With the path in the file and what is wrong."""
    file = tmp_path / "profile.yaml"
    file.write_text(yaml.safe_dump(changed(path, value), allow_unicode=True), encoding="utf-8")
    with pytest.raises(ProfileError) as fault:
        load_profile(file)
    assert words in str(fault.value)
    assert str(fault.value).startswith(f"{file}: ")


def test_sending_again_needs_a_key_that_is_told(tmp_path: Path) -> None:
    """Without it the authority would take the document twice. Two profiles have two names."""
    file = tmp_path / "profile.yaml"
    bare = changed("headers", {}) | {"body": {"file": ".json"}}
    file.write_text(yaml.safe_dump(bare))
    with pytest.raises(ProfileError, match="send_again needs"):
        load_profile(file)
    with pytest.raises(ProfileError, match="another profile is named"):
        load_profiles([EXAMPLE, EXAMPLE])
    with pytest.raises(ProfileError, match=r"none\.yaml"):
        load_profile(tmp_path / "none.yaml")


def _document(directory: Path, **values: Any) -> Any:
    path = directory / "distributed-2026-11-v1.json"
    path.write_text(json.dumps({"kind": "distributed", "days": {"name": "2026-11"}, "version": 1, **values}))
    return read_kept(path)


def _profile(**values: Any) -> Profile:
    return Profile.model_validate({**TOLD, "signature": "none", **values})


def _fields(**fields: Any) -> Profile:
    return _profile(body={"fields": {"key": {"from": "$key"}, **fields}})


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"from": "days.nothing"}, "has no days.nothing; mend the profile"),
        ({"from": "days.name.deeper"}, "has no days.name.deeper"),
        ({"from": "empty"}, "empty is empty in"),
        ({"from": "days.name", "as": "day"}, "days.name cannot be told as day: '2026-11'"),
        ({"from": "days.name", "as": "bitcoin"}, "cannot be told as bitcoin"),
        ({"each": "days", "fields": {}}, "days is no list"),
        ({"each": "rows", "fields": {"a": {"from": "b"}}}, "has no rows[2].b"),
        ({"each": "rows", "fields": {"a": {"from": "c"}}}, "rows[2].c is empty"),
        ({"file": ".p7s"}, "distributed-2026-11-v1.p7s: No such file"),
    ],
)
def test_a_document_with_a_hole_is_not_sent(tmp_path: Path, field: dict[str, Any], words: str) -> None:
    """Which field lacks what, in which row."""
    kept = _document(tmp_path, empty=None, rows=[{"b": 1, "c": 1}, {"c": ""}])
    with pytest.raises(LetterError) as fault:
        compose(kept, _fields(x=field))
    assert words in str(fault.value)


def test_who_takes_what(tmp_path: Path) -> None:
    """Another kind, and one that is not signed, are refused before anything is kept."""
    kept = _document(tmp_path)
    with pytest.raises(LetterError, match="tax-authority takes sale, not distributed"):
        compose(kept, _profile(documents=["sale"]))
    with pytest.raises(LetterError, match="is not signed"):
        compose(kept, _profile(signature="required"))
    kept.beside(".p7s").write_bytes(load_key(*make("Директор").files(tmp_path, "key")).sign(b"another document"))
    with pytest.raises(LetterError, match="sign the report anew"):
        compose(kept, _profile(signature="required"))


def test_the_key_is_of_document_recipient_and_way(tmp_path: Path) -> None:
    """The same in a restored backup; another for another version, recipient or way of telling it."""
    kept = _document(tmp_path)
    first = compose(kept, _fields())
    assert first == compose(kept, _fields())
    others = [compose(kept, _fields(more={"value": 1})), compose(kept, _fields().model_copy(update={"name": "b"}))]
    others.append(compose(_document(tmp_path, version=2), _fields()))
    assert len({first.key, *(each.key for each in others)}) == 4
    assert first.url == "https://api.example.invalid/v1/distributed-assets/2026-11"
    told = _fields(n={"from": "version", "as": "text"}, d={"from": "days.name"}, v={"value": None})
    body = compose(kept, told).body
    assert json.loads(body) == {"d": "2026-11", "key": compose(kept, told).key, "n": "1", "v": None}
    assert body == canonical_json(json.loads(body))


def test_a_form_is_bounded_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that each would do are too much together; a form that tells no key is not sent again."""
    kept = _document(tmp_path)
    parts = {"a": {"file": ".json"}, "b": {"file": ".json"}, "key": {"from": "$key"}}
    form = _profile(body={"parts": parts}, headers={})
    assert compose(kept, form).body.count(kept.content) == 2
    monkeypatch.setattr("tarazy.reports.delivery.letter.LARGEST_BODY", len(kept.content) + 10)
    with pytest.raises(LetterError, match=f"{2 * len(kept.content)} bytes would be sent"):
        compose(kept, form)
    with pytest.raises(ValueError, match="send_again needs"):
        _profile(body={"parts": {"a": {"file": ".json"}}}, headers={})


def test_a_period_cannot_leave_its_place_in_the_address(tmp_path: Path) -> None:
    """What a document names is quoted."""
    kept = _document(tmp_path, days={"name": "../../a?b#c"})
    assert compose(kept, _fields()).url.endswith("/v1/distributed-assets/..%2F..%2Fa%3Fb%23c")
    kept = _document(tmp_path, days={"name": "x\r\nEvil: 1"})
    with pytest.raises(LetterError, match="X-Period would hold what no header may"):
        compose(kept, _fields().model_copy(update={"headers": {"X-Period": "{period}"}}))


@given(
    st.integers(100, 599), st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps(text).encode())
)
def test_no_answer_is_taken_for_a_receipt_that_is_none(status: int, body: bytes) -> None:
    """Whatever comes is judged, in words that a terminal can show."""
    found = judge(_profile(), Answer(status, body), {"digest": "d", "key": "k", "body_digest": "b"}, NOW)
    assert found.outcome is not Outcome.RECEIPT
    assert found.words.isprintable()


def test_only_the_right_receipt_counts() -> None:
    """With its number, and of this document; a number may be a whole one."""
    sent = {"digest": "d", "key": "k", "body_digest": "b"}

    def outcome(told: Any, status: int = 200, **more: Any) -> tuple[str, str | None]:
        found = judge(_profile(), Answer(status, json.dumps(told).encode(), **more), sent, NOW)
        return found.outcome, found.number

    good = {"receipt": {"number": "1", "sha256": "d"}}
    assert outcome(good) == ("receipt", "1")
    assert outcome({"receipt": {"number": 12, "sha256": "d"}}) == ("receipt", "12")
    for number in (True, 1.5, "", " ", "a\nb", ["1"], None, "9" * 201):
        assert outcome({"receipt": {"number": number, "sha256": "d"}}) == ("unsure", None), number
    assert outcome({"receipt": {"number": "1", "sha256": "e"}})[0] == "unsure"
    assert outcome(good, 204)[0] == "unsure"
    assert outcome(good, 500)[0] == "unsure"
    assert outcome(good, 400)[0] == "refused"
    assert outcome(good, fault="cut off")[0] == "unsure"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("-5", 0),
        ("soon", 0),
        ("9" * 400, 86_400),
        ("Wed, 02 Dec 2026 00:10:00 GMT", 600),
        ("Wed, 02 Dec 2020 00:10:00 GMT", 0),
        ("Wed, 99 Dec 2026", 0),
    ],
)
def test_retry_after_is_heeded_within_bounds(header: str, seconds: int) -> None:
    """Seconds or a date of HTTP, at most a day."""
    found = judge(_profile(), Answer(429, retry_after=header), {}, NOW)
    assert (found.outcome, found.wait_seconds) == (Outcome.NOT_TAKEN, seconds)
