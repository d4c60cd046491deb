"""Server-sent events: lines in, events out, as WHATWG HTML section 9.2 has it."""

from cli.sse import ServerSentEvent, parse_events


def test_an_event_is_its_fields_up_to_the_blank_line() -> None:
    """Id, name and data."""
    lines = ["id: 1.0", "event: claimed", 'data: {"a": 1}', "", "data: x", ""]
    assert list(parse_events(lines)) == [
        ServerSentEvent("1.0", "claimed", '{"a": 1}'),
        ServerSentEvent("1.0", "message", "x"),
    ]


def test_comments_are_signs_of_life() -> None:
    """They yield nothing and end nothing."""
    assert list(parse_events([": ping", "", "data: x", ": ping", "data: y", ""])) == [
        ServerSentEvent("", "message", "x\ny")
    ]


def test_an_event_that_is_cut_off_is_dropped() -> None:
    """It will come again: its id has not been seen."""
    assert list(parse_events(["id: 1.0", "data: x", "", "id: 1.1", "data: half"])) == [
        ServerSentEvent("1.0", "message", "x")
    ]


def test_an_event_without_data_is_none() -> None:
    """A bare id only moves the place to resume from."""
    assert list(parse_events(["id: 7", "", "data: x", ""])) == [ServerSentEvent("7", "message", "x")]


def test_only_one_blank_after_the_colon_belongs_to_the_format() -> None:
    """The rest is data; a field without colon has no value; unknown fields and ids with NUL do not count."""
    lines = ["data:  two", "data", "data:none", "retry: 5", "id: a\0b", ""]
    assert list(parse_events(lines, last_id="0.0")) == [ServerSentEvent("0.0", "message", " two\n\nnone")]
