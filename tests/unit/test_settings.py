"""The environment: whatever is wrong names its variable, and `.env.example` tells them all."""

import dataclasses
import re
from pathlib import Path

import pytest

from daybook import settings
from daybook.settings import Settings
from runtime.settings import PREFIX, SettingsError

ROOT = Path(__file__).resolve().parents[2]
NEEDED = {
    "DAYBOOK_DATABASE_URL": "postgresql://localhost/daybook",
    "DAYBOOK_CACHE_URL": "redis://localhost",
    "DAYBOOK_QUEUE_URL": "http://localhost/queue.fifo",
}
FIELDS = {PREFIX + field.name.upper(): field for field in dataclasses.fields(Settings)}
NUMBERS = [
    name
    for name, field in FIELDS.items()
    if isinstance(field.default, int | float) or name.endswith("_PORT")
]


def test_three_variables_are_enough() -> None:
    """Everything else has a default, and others' variables do not matter."""
    given = settings.load(NEEDED | {"PATH": "/bin", "DAYBOOK": "x", "PORT": "9"})
    assert given.database_url == NEEDED["DAYBOOK_DATABASE_URL"]
    assert (given.port, given.health_port, given.schema_file) == (3000, None, None)


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("blank", [False, True])
def test_a_missing_variable_is_named(name: str, blank: bool) -> None:  # noqa: FBT001
    """Unset and empty are the same; the message says where all are listed."""
    environ = NEEDED | {name: ""} if blank else {n: v for n, v in NEEDED.items() if n != name}
    with pytest.raises(SettingsError, match=rf"{name} is not set.*\.env\.example"):
        settings.load(environ)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_malformed_number_names_its_variable(name: str) -> None:
    """By the name that the operator wrote, not by ours."""
    with pytest.raises(SettingsError, match=f"^{name}: "):
        settings.load(NEEDED | {name: "many"})


@pytest.mark.parametrize(
    "text", ["1,5", "1.5", "true", "3_000", " 3000", "٣", "0x10", "1e99", "-1", "65536"]
)
def test_what_is_no_port_is_refused(text: str) -> None:
    """A port is a whole number up to 65535."""
    with pytest.raises(SettingsError, match=r"^DAYBOOK_PORT: "):
        settings.load(NEEDED | {"DAYBOOK_PORT": text})


@pytest.mark.parametrize("name", NUMBERS)
def test_a_bound_that_bounds_nothing_is_refused(name: str) -> None:
    """A batch of zero commands or a poll of minus one second would hang or spin, not run."""
    with pytest.raises(SettingsError, match=name):
        settings.load(NEEDED | {name: "-1"})


@pytest.mark.parametrize("name", [name for name in NUMBERS if name.endswith("_MAX")])
def test_a_bound_of_zero_items_is_refused(name: str) -> None:
    """Nothing would ever be done; a wait of zero seconds is one."""
    if name == "DAYBOOK_WAIT_S_MAX":
        assert not settings.load(NEEDED | {name: "0"}).wait_s_max
        return
    with pytest.raises(SettingsError, match=name):
        settings.load(NEEDED | {name: "0"})


def test_a_variable_reaches_its_field() -> None:
    """Numbers are read from text."""
    given = settings.load(
        NEEDED
        | {"DAYBOOK_PORT": "8080", "DAYBOOK_HEALTH_PORT": "9", "DAYBOOK_IDLE_POLL_S": "0.5"}
        | {"DAYBOOK_SCHEMA_FILE": "/etc/schema.toml", "DAYBOOK_LOG_LEVEL": "DEBUG"}
    )
    assert (given.port, given.health_port, given.schema_file) == (8080, 9, "/etc/schema.toml")
    assert given.idle_poll_s * 2 == 1
    assert given.log_level == "DEBUG"


def documented() -> dict[str, str]:
    """Return the variables of `.env.example`, commented out or not, and their example values."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return dict(re.findall(r"^#? ?(DAYBOOK_[A-Z0-9_]+)=(.*)$", text, re.MULTILINE))


def test_every_setting_is_documented_and_nothing_else() -> None:
    """`.env.example` and the dataclass name the same variables."""
    assert documented().keys() == FIELDS.keys()


def test_the_documented_example_loads_and_shows_the_defaults() -> None:
    """A value shown for an optional variable is its default."""
    loaded = settings.load(documented())
    for name, field in FIELDS.items():
        if field.default is not dataclasses.MISSING and documented()[name]:
            assert getattr(loaded, field.name) == field.default, f"{name} shows no default"
