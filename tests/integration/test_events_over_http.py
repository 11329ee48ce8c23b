"""The log over HTTP: pages, lines and streams show a ledger's events once, in order, and no other.

What is compared with is the log itself, read whole.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import pytest

from auditing.reconcile.continuous import Auditor
from command_side.domain.commands import Command
from events.types import Recorded, accounts_of, transaction_id
from query_side.event_feed import channel as channels_of
from query_side.event_feed import following
from query_side.event_feed.channel import Channel
from tests.integration import fixtures
from tests.integration.requests import asking_over_http
from tests.patience import patient_s

NDJSON = {"Accept": "application/x-ndjson"}


class Sent(NamedTuple):
    """A block of a stream."""

    id: str
    event: str | None
    data: dict[str, Any] | None


async def of_demo(database_url: str) -> list[Recorded]:
    """Return the events of the ledger that the client may read."""
    return [r for r in await fixtures.whole_log(database_url) if r.event.ledger == "demo"]


def positions(events: list[Recorded]) -> list[str]:
    """Return the positions of shown events."""
    return [str(recorded.position) for recorded in events]


def places(events: list[Recorded]) -> list[str]:
    """Return the same as ids of a stream without discrepancies."""
    return [f"{position}.0" for position in positions(events)]


async def walked(client: httpx.AsyncClient, **asked: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return all items of a list, page by page; assert that the way back shows the same."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await client.get("/events", params={**asked, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    last, back = page["items"], list[dict[str, Any]]()
    while cursor.get("cursor") != page["previous"]:
        cursor = {"cursor": page["previous"]}
        page = (await client.get("/events", params={**asked, **cursor})).json()
        back = page["items"] + back
    assert back + last == items
    return items


async def blocks(
    client: httpx.AsyncClient, headers: dict[str, str] | None = None, **asked: str
) -> AsyncIterator[Sent]:
    """Yield what a stream sends, block by block; comments and the opening have no event."""
    async with client.stream("GET", "/events/stream", params=asked, headers=headers) as answer:
        if answer.status_code != 200:
            await answer.aread()
            raise AssertionError(answer.text)
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, text = line.partition(": ")
                fields[name] = text
                continue
            data = json.loads(fields["data"]) if "data" in fields else None
            yield Sent(fields["id"], fields.get("event"), data)
            fields = {}


async def streamed(client: httpx.AsyncClient, **asked: str) -> list[Sent]:
    """Return all events of a stream up to the log's end."""
    headers = {"Prefer": "wait=0"}
    return [sent async for sent in blocks(client, headers, **asked) if sent.event]


# --- pages and lines ----------------------------------------------------------------------------


async def test_pages_are_the_ledgers_log_and_nothing_else(database_url: str) -> None:
    """Every event once, in order or backwards, as CloudEvents with the stored state."""
    await fixtures.rich_log(database_url, count=20)
    expected = await of_demo(database_url)
    async with asking_over_http(database_url) as client:
        forward = await walked(client, limit="7")
        assert await walked(client, limit="500") == forward
        assert await walked(client, limit="7", order="desc") == forward[::-1]
    assert [item["id"] for item in forward] == positions(expected)
    for item, recorded in zip(forward, expected, strict=True):
        assert item["data"]["ledger"] == "demo"
        assert (item["specversion"], item["source"]) == ("1.0", "/daybook/log")
        assert (item["type"], item["subject"], item["streamversion"]) == (
            recorded.event.topic,
            str(recorded.originator_id),
            recorded.version,
        )
        assert item["time"] == item["data"]["recorded_at"]


async def test_filters_leave_just_what_matches(database_url: str) -> None:
    """Type, account, transaction, positions, times; alone and together."""
    await fixtures.rich_log(database_url, count=20)
    log = await of_demo(database_url)
    split = transaction_id("demo", "split")
    middle = log[len(log) // 2]
    at = middle.event.recorded_at

    def about(recorded: Recorded) -> bool:
        return split in (recorded.originator_id, getattr(recorded.event, "about", None))

    def names(recorded: Recorded) -> bool:
        event = recorded.event
        named = {getattr(event, "account_id", None), *accounts_of(getattr(event, "postings", ()))}
        return "alice" in named

    cases: list[tuple[dict[str, str], list[Recorded]]] = [
        ({"type": "hold.placed"}, [r for r in log if r.event.topic == "hold.placed"]),
        ({"account_id": "alice"}, [r for r in log if names(r)]),
        ({"account_id": "nobody"}, []),
        ({"transaction_id": str(split)}, [r for r in log if about(r)]),
        (
            {"after": str(middle.position), "before": str(middle.position + 9)},
            [r for r in log if middle.position < r.position < middle.position + 9],
        ),
        ({"recorded_from": at.isoformat()}, [r for r in log if r.event.recorded_at >= at]),
        ({"recorded_to": at.isoformat()}, [r for r in log if r.event.recorded_at < at]),
        ({"recorded_from": "2001-01-01", "recorded_to": "2001-01-02"}, []),
        ({"after": str(10**18)}, []),
        (
            {"account_id": "alice", "type": "transfer.rejected"},
            [r for r in log if names(r) and r.event.topic == "transfer.rejected"],
        ),
    ]
    async with asking_over_http(database_url) as client:
        for asked, expected in cases:
            items = await walked(client, limit="4", **asked)
            assert [item["id"] for item in items] == positions(expected), asked
            lines = (await client.get("/events", params=asked, headers=NDJSON)).text.splitlines()
            assert [json.loads(line) for line in lines] == items, asked
            if not asked.keys() & {"before", "recorded_from", "recorded_to", "after"}:
                sent = await streamed(client, after="0", **asked)
                assert [s.data for s in sent] == items, asked


async def test_a_rare_ledgers_page_looks_at_a_bounded_part_of_the_log(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is short or empty, and `next` goes on; nothing is left out on the way."""
    monkeypatch.setattr("events.ledger_log.LOOK_MAX", 10)
    others = [fixtures.transfer(f"o{n}", ledger="other") for n in range(35)]
    await fixtures.written(
        database_url, [fixtures.transfer("first"), *others, fixtures.transfer("last")]
    )
    async with asking_over_http(database_url) as client:
        first = (await client.get("/events")).json()
        assert len(first["items"]) < len(await of_demo(database_url))
        assert first["next"] is not None
        items = await walked(client)
        assert [item["id"] for item in items] == positions(await of_demo(database_url))
        backward = await walked(client, order="desc")
        assert backward == items[::-1]
        sent = await streamed(client, after="0")
        assert [s.data for s in sent] == items


async def test_pages_see_what_is_not_projected_yet(database_url: str) -> None:
    """The log is shown, and no read model."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    async with asking_over_http(database_url) as client:
        answer = await client.get("/events")
        assert answer.headers["Daybook-Position"] == str(
            len(await fixtures.whole_log(database_url))
        )
        assert len(answer.json()["items"]) == len(await of_demo(database_url))


async def test_previous_finds_what_was_added_since(database_url: str) -> None:
    """From the newest page on."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    async with asking_over_http(database_url) as client:
        newest = (await client.get("/events", params={"order": "desc"})).json()
        await fixtures.written(database_url, [fixtures.transfer("two")])
        added = await client.get("/events", params={"order": "desc", "cursor": newest["previous"]})
        keys = [item["data"].get("key") for item in added.json()["items"]]
        assert keys == ["two"]


ANYWHERE = [
    ("type=transfer.undone", "type_unknown"),
    ("account_id=a b", "account_id_invalid"),
    ("transaction_id=7", "transaction_id_invalid"),
    ("after=-1", "position_invalid"),
    ("after=9223372036854775808", "position_invalid"),
    ("until=1", "parameter_unknown"),
    ("after=1&after=2", "parameter_repeated"),
]
PAGES_AND_LINES = [
    ("format=xml", "format_invalid"),
    ("before=x", "position_invalid"),
    ("recorded_from=now", "time_invalid"),
]
PAGES = [
    ("order=up", "order_unknown"),
    ("cursor=x", "cursor_invalid"),
    ("limit=0", "limit_invalid"),
]


async def test_what_cannot_be_asked_is_refused(database_url: str) -> None:
    """Of pages, of lines, and of a stream: before the first byte."""
    async with asking_over_http(database_url) as client:

        async def code(path: str, asked: str, **headers: str) -> str:
            answer = await client.get(f"{path}?{asked}", headers=headers)
            assert answer.status_code == 400
            return str(answer.json()["code"])

        for asked, expected in (*ANYWHERE, *PAGES_AND_LINES, *PAGES):
            assert await code("/events", asked) == expected
        for asked, expected in (*ANYWHERE, *PAGES_AND_LINES):
            assert await code("/events", asked, **NDJSON) == expected
        for asked, expected in ANYWHERE:
            assert await code("/events/stream", asked) == expected
        for asked, _ in (*PAGES_AND_LINES, *PAGES):
            assert await code("/events/stream", asked) == "parameter_unknown"
        for place in ("x", "1.2.3", "-1", "1.", "1.x", ".1"):
            headers = {"Last-Event-ID": place}
            assert await code("/events/stream", "", **headers) == "position_invalid"


# --- streams ------------------------------------------------------------------------------------


async def test_a_stream_begins_now_or_after_a_position(database_url: str) -> None:
    """Its first block is a place to come back to, so that nothing is missed before the first."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    head = len(await fixtures.whole_log(database_url))
    async with asking_over_http(database_url) as client:
        at_end = [sent async for sent in blocks(client, {"Prefer": "wait=0"})]
        assert at_end == [Sent(f"{head}.0", None, None)]
        sent = await streamed(client, after="1")
        assert [each.id for each in sent] == places(await of_demo(database_url))[1:]
        assert [each.event for each in sent] == [each.data["type"] for each in sent if each.data]
        # A browser repeats its URL when it comes back, and the header says how far it got.
        back = {"Last-Event-ID": sent[0].id, "Prefer": "wait=0"}
        again = [each async for each in blocks(client, back, after="1") if each.event]
        assert again == sent[1:]
        beyond = await client.get("/events/stream", params={"after": head + 1})
        assert (beyond.status_code, beyond.json()["code"]) == (400, "position_invalid")


async def test_an_empty_log_can_be_followed(database_url: str) -> None:
    """From its very first event."""
    async with asking_over_http(database_url) as client:
        assert await streamed(client) == []
        following_it = blocks(client)
        assert await anext(following_it) == Sent("0.0", None, None)
        await fixtures.written(database_url, [fixtures.transfer("one")])
        async with asyncio.timeout(patient_s(10)):
            assert (await anext(following_it)).id == "1.0"
        await following_it.aclose()  # type: ignore[attr-defined]


async def test_every_event_comes_once_and_in_order_however_often_one_reconnects(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two writers at once, clients that break off at any moment, a channel that forgets at once."""
    monkeypatch.setattr(channels_of, "ROWS_MAX", 5)
    monkeypatch.setattr(following, "LOOK_EVENTS_MAX", 7)
    monkeypatch.setattr(following, "TICK_S", 0.005)
    rng = random.Random(20)

    async def write(name: str) -> None:
        for number in range(15):
            commands: list[Command] = [
                fixtures.transfer(f"{name}-{number}-{n}", ledger=rng.choice(("demo", "other")))
                for n in range(rng.randint(1, 12))
            ]
            await fixtures.written(database_url, commands, now=lambda _: fixtures.START)

    async def follow(client: httpx.AsyncClient, patience: int) -> list[Sent]:
        got: list[Sent] = []
        place = "0"
        while True:
            left = rng.randint(1, patience)
            async for sent in blocks(client, {"Last-Event-ID": place}):
                place = sent.id
                if sent.data is not None:
                    got.append(sent)
                    left -= 1
                    if sent.data["data"].get("key") == "end":
                        return got
                if not left:
                    break

    async with asking_over_http(database_url) as client, asyncio.timeout(patient_s(60)):
        clients = [asyncio.create_task(follow(client, most)) for most in (1, 9, 99)]
        await asyncio.gather(write("a"), write("b"))
        await fixtures.written(
            database_url, [fixtures.transfer("end")], now=lambda _: fixtures.START
        )
        received = await asyncio.gather(*clients)
    expected = places(await of_demo(database_url))
    assert len(expected) > 50
    for got in received:
        assert [sent.id for sent in got] == expected
        assert all(sent.data is not None and sent.data["data"]["ledger"] == "demo" for sent in got)


async def test_a_client_that_does_not_read_costs_no_memory(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The channel stays bounded while it sleeps; awake it gets everything, from the log."""
    monkeypatch.setattr(channels_of, "BYTES_MAX", 2_000)
    channels: list[Channel] = []
    begin = Channel.begin

    def watched(channel: Channel, position: int, discrepancy_id: int) -> None:
        channels.append(channel)
        begin(channel, position, discrepancy_id)

    monkeypatch.setattr(Channel, "begin", watched)
    await fixtures.written(database_url, [fixtures.transfer("first")])
    async with asking_over_http(database_url) as client:
        slow = blocks(client)
        await anext(slow)
        await asyncio.sleep(0.2)
        big = {"note": "x" * 900}
        commands = [fixtures.transfer(f"k{n}", metadata=dict(big)) for n in range(300)]
        await fixtures.written(database_url, commands, batch_size=20)
        await asyncio.sleep(0.2)
        (channel,) = channels
        assert len(channel.events.after(channel.events.since)) <= 2
        async with asyncio.timeout(patient_s(20)):
            got = [(await anext(slow)).data for _ in commands]
        assert [data["data"]["key"] for data in got if data] == [f"k{n}" for n in range(300)]
        await slow.aclose()  # type: ignore[attr-defined]


async def test_streams_are_bounded_and_given_back(database_url: str) -> None:
    """Too many are 503 with Retry-After; one that goes away makes room at once."""
    async with asking_over_http(database_url, streams_max=3, ledger_streams_max=2) as client:
        open_ones = [blocks(client) for _ in range(2)]
        for each in open_ones:
            await anext(each)
        refused = await client.get("/events/stream")
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_streams")
        assert refused.headers["Retry-After"] == "1"
        await open_ones[0].aclose()  # type: ignore[attr-defined]
        async with asyncio.timeout(patient_s(5)):
            while (await client.get("/events/stream", headers={"Prefer": "wait=0"})).is_error:
                pass
        await open_ones[1].aclose()  # type: ignore[attr-defined]


async def test_a_silent_stream_beats_and_says_how_far_it_is(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that reconnects need not read other ledgers' events again."""
    monkeypatch.setattr(following, "BEAT_S", 0.1)
    await fixtures.written(database_url, [fixtures.transfer("one")])
    async with asking_over_http(database_url) as client:
        silent = blocks(client)
        await anext(silent)
        await fixtures.written(database_url, [fixtures.transfer("theirs", ledger="other")])
        head = f"{len(await fixtures.whole_log(database_url))}.0"
        async with asyncio.timeout(patient_s(5)):
            while (beat := await anext(silent)).id != head:
                assert (beat.event, beat.data) == (None, None)
        await silent.aclose()  # type: ignore[attr-defined]


FIND = """
    INSERT INTO read.discrepancies (
        reconciliation_id, kind, view, ledger, account_id, position, expected, actual, explanation,
        found_at
    ) VALUES ({run}, '{kind}', 'read.balances', {ledger}, 'alice', 1, '1', '2', '{why}', now())
"""
CONTINUOUS = "'00000000-0000-0000-0000-000000000001'"


async def found(database_url: str, why: str, ledger: str = "'demo'", kind: str = "drift") -> None:
    """Add a discrepancy as the auditor does."""
    sql = FIND.format(run=CONTINUOUS, kind=kind, ledger=ledger, why=why)
    await fixtures.execute(database_url, sql)


async def test_a_difference_that_the_auditor_finds_is_on_the_stream_once(database_url: str) -> None:
    """Within seconds. A client that reconnects with its id does not get it again."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await fixtures.project(database_url)
    auditor = Auditor(fixtures.settings(database_url))
    async with asking_over_http(database_url) as client, asyncio.timeout(patient_s(20)):
        stream = blocks(client)
        opening = await anext(stream)
        await fixtures.execute(
            database_url,
            "UPDATE read.balances SET debits_posted = debits_posted + 1 WHERE account_id = 'alice'",
        )
        for _ in range(4):
            await auditor.run_once()
        await auditor.close()
        sent = await anext(stream)
        assert sent.event == "discrepancy"
        assert sent.data is not None
        assert (sent.data["kind"], sent.data["account_id"]) == ("balance_drift", "alice")
        assert sent.id == f"{opening.id.partition('.')[0]}.{sent.data['id']}"
        await fixtures.written(database_url, [fixtures.transfer("two")])
        event = await anext(stream)
        assert event.id.partition(".")[2] == str(sent.data["id"])
        await stream.aclose()  # type: ignore[attr-defined]
        bare = event.id.partition(".")[0]
        ids = opening.id, sent.id, event.id, bare
        again, *rest = await asyncio.gather(*(after(client, place) for place in ids))
        assert [each.data for each in again] == [event.data, sent.data]
        assert rest == [[event], [], []]


async def test_a_stream_tells_of_no_discrepancy_of_others(database_url: str) -> None:
    """Every ledger sees a gap, none sees a delay, and ids are those of the ledger."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await found(database_url, "theirs before", "'other'")
    async with asking_over_http(database_url) as client, asyncio.timeout(patient_s(20)):
        stream, of_bob = blocks(client), blocks(client, account_id="bob")
        assert (await anext(stream)).id.endswith(".0")
        await anext(of_bob)
        await found(database_url, "theirs", "'other'")
        await found(database_url, "late", "NULL", "projection_lag")
        await found(database_url, "gap", "NULL", "position_gap")
        await found(database_url, "mine")
        told = [(await anext(stream)).data, (await anext(stream)).data]
        assert [data["explanation"] for data in told if data] == ["gap", "mine"]
        await fixtures.written(database_url, [fixtures.transfer("two", destination="bob")])
        assert (await anext(of_bob)).event == "account.opened"
        for each in (stream, of_bob):
            await each.aclose()  # type: ignore[attr-defined]
        head = len(await fixtures.whole_log(database_url))
        again, ahead = await asyncio.gather(after(client, "0.0"), after(client, f"{head}.999999"))
        assert [sent.data for sent in again if sent.event == "discrepancy"] == told
        assert ahead == []


async def test_many_discrepancies_come_in_order_over_many_connections(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a channel that forgets at once, and in pages of a few."""
    monkeypatch.setattr(channels_of, "ROWS_MAX", 3)
    monkeypatch.setattr(following, "SENT_EVENTS_MAX", 4)
    monkeypatch.setattr(following, "LOOK_DISCREPANCIES_MAX", 5)
    monkeypatch.setattr(following, "LOOK_DISCREPANCIES_S", 0.01)
    async with asking_over_http(database_url) as client, asyncio.timeout(patient_s(30)):
        staying = blocks(client)
        place = (await anext(staying)).id
        many = FIND.format(run=CONTINUOUS, kind="drift", ledger="'demo'", why="n").replace(
            "VALUES (", "SELECT "
        )
        many = many.rstrip().removesuffix(")") + " FROM generate_series(1, 40)"
        await fixtures.execute(database_url, many)
        ids = [sent.data["id"] for _ in range(40) if (sent := await anext(staying)).data]
        assert len(set(ids)) == 40
        assert ids == sorted(ids)
        await staying.aclose()  # type: ignore[attr-defined]
        got: list[int] = []
        while len(got) < 40:
            async for sent in blocks(client, {"Last-Event-ID": place}):
                place = sent.id
                if sent.data:
                    got.append(sent.data["id"])
                    if len(got) % 7 == 0:
                        break
                if len(got) == 40:
                    break
        assert got == ids


async def after(client: httpx.AsyncClient, place: str) -> list[Sent]:
    """Return what came after an id that a stream gave."""
    headers = {"Last-Event-ID": place, "Prefer": "wait=1"}
    return [sent async for sent in blocks(client, headers) if sent.event]


async def test_a_revoked_token_ends_its_streams(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long they have been open, because the token is checked again."""
    monkeypatch.setattr(following, "BEAT_S", 0.05)
    monkeypatch.setattr(following, "IDENTIFY_S", 0.1)
    monkeypatch.setattr("web.tokens.REMEMBERED_S", 0.1)
    async with asking_over_http(database_url) as client:
        stream = blocks(client)
        await anext(stream)
        await fixtures.execute(database_url, "UPDATE runtime.tokens SET revoked_at = now()")
        async with asyncio.timeout(patient_s(10)):
            assert {sent.event async for sent in stream} == {None}
        assert (await client.get("/events")).status_code == 401


async def test_a_stopping_server_ends_its_streams_at_once(database_url: str) -> None:
    """It does not wait for streams, which have no end, and leaves no task behind."""

    @asynccontextmanager
    async def stopped() -> AsyncIterator[list[AsyncIterator[Sent]]]:
        async with asking_over_http(database_url) as client:
            streams = [blocks(client) for _ in range(3)]
            for stream in streams:
                await anext(stream)
            yield streams
            leaving.append(asyncio.get_running_loop().time())

    leaving: list[float] = []
    async with stopped():
        pass
    assert asyncio.get_running_loop().time() - leaving[0] < 3
