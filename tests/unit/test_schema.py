"""The accounting schema: the default one is good, and every fault names its key."""

from pathlib import Path

import iso4217
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import money
from events import schema as schemas
from events.schema import DEFAULT_FILE, ISO_4217, REMEMBERED_MAX, SchemaError
from events.types import AccountType, Side
from runtime.problems import Invalid
from tests.unit.examples import SCHEMA, SCHEMA_TEXT

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "accounting-schema.md"

SMALL = """
[defaults]
currency = "USD"
[limits]
metadata_keys_max = 5
[currencies.USD]
decimals = 2
[[classes]]
name = "first"
pattern = "a*"
normal_side = "credit"
[[classes]]
name = "second"
pattern = "*"
normal_side = "debit"
"""


def test_the_default_schema_loads() -> None:
    """What ships is checked like any other."""
    schema = schemas.load()
    assert schema.decimals(schema.defaults.currency) == 2
    assert {code: schema.decimals(code) for code in ("USD", "JPY", "KWD", "BTC", "ETH")} == {
        "USD": 2,
        "JPY": 0,
        "KWD": 3,
        "BTC": 8,
        "ETH": 18,
    }
    assert schema == schemas.load(DEFAULT_FILE) == schemas.load(str(DEFAULT_FILE))
    assert set(schema.currencies) == {*ISO_4217, "BTC", "ETH"}


@pytest.mark.parametrize(
    "account_id, name, kind_type, side, limit, open_by_use",
    [
        ("world", "world", "equity", Side.CREDIT, None, True),
        ("external:bank-1", "external", "liability", Side.CREDIT, None, True),
        ("bank:main", "bank", "asset", Side.DEBIT, None, True),
        ("credit-line:9", "credit-line", "liability", Side.CREDIT, 0, False),
        ("exchange:EUR", "exchange", "equity", Side.CREDIT, None, True),
        ("revenue:fees", "revenue", "revenue", Side.CREDIT, 0, True),
        ("expense:cards", "expense", "expense", Side.DEBIT, 0, True),
        ("account-123", "customer", "liability", Side.CREDIT, 0, True),
        ("World", "customer", "liability", Side.CREDIT, 0, True),
        ("worldly", "customer", "liability", Side.CREDIT, 0, True),
        ("revenue", "customer", "liability", Side.CREDIT, 0, True),
        ("my-bank:main", "customer", "liability", Side.CREDIT, 0, True),
    ],
)
def test_the_default_classes_are_found_by_the_whole_id(
    account_id: str,
    name: str,
    kind_type: str,
    side: Side,
    limit: int | None,
    open_by_use: bool,  # noqa: FBT001
) -> None:
    """A customer cannot become the world by a similar name."""
    schema = schemas.load()
    kind = schema.class_of(account_id)
    assert kind is not None
    assert (kind.name, kind.type, kind.normal_side) == (name, kind_type, side)
    assert kind.open_by_use is open_by_use
    assert schema.overdraft_limit(kind, "USD") == limit
    assert schema.amount_max(kind, "USD") is None


@pytest.mark.parametrize(
    "old, new, message",
    [
        ('currency = "USD"', "currency = ", "schema: not TOML"),
        ('currency = "USD"', "currency = 5", "schema: defaults.currency: "),
        ('currency = "USD"', "", "schema: defaults: Object missing required field `currency`"),
        ('currency = "USD"', 'currency = "EUR"', "schema: defaults.currency: 'EUR' is not in"),
        ('currency = "USD"', 'currency = "USD"\nx = 1', "schema: defaults: .*unknown field `x`"),
        (
            'currency = "USD"',
            'currency = "USD"\nexchange_accounts = 1',
            "exchange_accounts: Expected",
        ),
        ('currency = "USD"', 'currency = "USD"\nexchange_accounts = ""', "must not be empty"),
        ('currency = "USD"', 'currency = "USD"\nexchange_accounts = ":"', "':USD' would be no acc"),
        ('currency = "USD"', 'currency = "USD"\nexchange_accounts = "a/"', "'a/USD' would be no"),
        ("[defaults]", "[default]", "schema: the file: .*`default"),
        ("[limits]", "[limit]", "schema: the file: .*unknown field `limit`"),
        ("metadata_keys_max = 5", "metadata_keys_max = -1", "schema: limits.metadata_keys_max: "),
        ("metadata_keys_max = 5", 'metadata_keys_max = "5"', "schema: limits.metadata_keys_max: "),
        ("metadata_keys_max = 5", "metadata_bytes_max = -1", "limits.metadata_bytes_max: "),
        ("metadata_keys_max = 5", "description_characters_max = -1", "description_characters_max"),
        (
            "metadata_keys_max = 5",
            "postings_max = 0",
            "schema: limits.postings_max: must be 1 to 500",
        ),
        ("metadata_keys_max = 5", "postings_max = -1", "limits.postings_max: must be 1 to 500"),
        ("metadata_keys_max = 5", "postings_max = 501", "limits.postings_max: must be 1 to 500"),
        ("metadata_keys_max = 5", 'postings_max = "9"', "limits.postings_max: Expected `int`"),
        ("metadata_keys_max = 5", 'metadata_required = "a"', "schema: limits.metadata_required: "),
        ("metadata_keys_max = 5", "keys_max = 5", "schema: limits: .*unknown field `keys_max`"),
        ("decimals = 2", "decimals = -1", "schema: currencies.USD.decimals: must be 0 to 18"),
        ("decimals = 2", "decimals = 19", "schema: currencies.USD.decimals: must be 0 to 18"),
        ("decimals = 2", 'decimals = "2"', "schema: currencies.USD.decimals: Expected `int`"),
        ("decimals = 2", "decimals = true", "schema: currencies.USD.decimals: Expected `int`"),
        ("decimals = 2", "", "schema: currencies.USD: .*missing required field `decimals`"),
        ("decimals = 2", "decimals = 2\nx = 1", "schema: currencies.USD: .*unknown field `x`"),
        ("[defaults]", "iso_4217 = 1\n[defaults]", "schema: iso_4217: Expected `bool`"),
        ("[currencies.USD]", "[currencies.usd]", "schema: currencies.usd: a code is"),
        ("[currencies.USD]", "[currencies.U]", "schema: currencies.U: a code is"),
        ("[currencies.USD]", '[currencies."U D"]', "schema: currencies.U D: a code is"),
        ('name = "first"', 'name = "First"', r"schema: classes\[0\].name: 'First'"),
        ('name = "first"', 'name = ""', r"schema: classes\[0\].name: ''"),
        ('name = "second"', 'name = "first"', r"schema: classes\[1\].name: 'first' is given twice"),
        ('name = "second"', "", r"schema: classes\[1\]: Object missing required field `name`"),
        ('pattern = "a*"', 'pattern = ""', r"schema: classes\[0\].pattern: must not be empty"),
        ('pattern = "*"', "", r"schema: classes\[1\]: .*missing required field `pattern`"),
        ('normal_side = "debit"', 'normal_side = "left"', r"schema: classes\[1\].normal_side: "),
        ('normal_side = "debit"', 'type = "left"', r"schema: classes\[1\].type: Invalid enum"),
        ('normal_side = "debit"', 'given_side = "debit"', r"classes\[1\]: .*unknown field `given"),
        ('normal_side = "debit"', "", r"classes\[1\].type: is needed, or a normal_side$"),
        ('name = "second"', 'name = "second"\noverdraft = 5', r"schema: classes\[1\].overdraft: "),
        ('name = "second"', 'name = "second"\noverdraft = "x"', r"classes\[1\].overdraft: 'x'"),
        ('name = "second"', 'name = "second"\noverdraft = "-5"', r"classes\[1\].overdraft: '-5'"),
        ('name = "second"', 'name = "second"\noverdraft = "0.001"', r"classes\[1\].overdraft: "),
        ('name = "second"', 'name = "second"\noverdraft = "1e99"', r"classes\[1\].overdraft: "),
        ('name = "second"', 'name = "second"\noverdraft = "NaN"', r"classes\[1\].overdraft: "),
        ('name = "second"', 'name = "second"\noverdraft = "1_0"', r"classes\[1\].overdraft: '1_0'"),
        ('name = "second"', 'name = "second"\noverdraft = " 5"', r"classes\[1\].overdraft: ' 5'"),
        ('name = "second"', 'name = "second"\namount_max = "\u0665"', r"classes\[1\].amount_max: "),
        ('name = "second"', 'name = "second"\namount_max = "x"', r"classes\[1\].amount_max: 'x'"),
        ('name = "second"', 'name = "second"\namount_max = "none"', r"classes\[1\].amount_max: "),
        ('name = "second"', 'name = "second"\namount_max = "0"', r"classes\[1\].amount_max: '0'"),
        ('name = "second"', 'name = "second"\nopen_by_use = 1', r"classes\[1\].open_by_use: "),
        ('name = "second"', 'name = "second"\nlimit = 1', r"classes\[1\]: .*field `limit`"),
    ],
)
def test_a_fault_names_its_key(old: str, new: str, message: str) -> None:
    """Whoever edits the file is led to the line."""
    assert old in SMALL
    with pytest.raises(SchemaError, match=message):
        schemas.parse(SMALL.replace(old, new))


def test_a_schema_without_classes_or_currencies_is_refused() -> None:
    """There must be something to account for."""
    head = SMALL.partition("[[classes]]")[0]
    with pytest.raises(SchemaError, match="classes"):
        schemas.parse(head)
    with pytest.raises(SchemaError, match="classes: at least one"):
        schemas.parse(f"classes = []\n{head}")
    with pytest.raises(SchemaError, match="currencies"):
        schemas.parse(SMALL.replace("[currencies.USD]\ndecimals = 2", ""))


def test_the_small_schema_itself_is_good() -> None:
    """The faults above are those of the line that was changed."""
    assert schemas.parse(SMALL).limits.metadata_keys_max == 5


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"[defaults]\ncurrency = '\xff'"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    """Missing, or no text."""
    file = tmp_path / "my-schema.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SchemaError, match=r"my-schema\.toml: "):
        schemas.load(file)


def test_a_folder_is_no_schema(tmp_path: Path) -> None:
    """The operating system's reason is passed on."""
    with pytest.raises(SchemaError, match="cannot be read: Is a directory"):
        schemas.load(tmp_path)


def test_the_first_class_that_matches_holds() -> None:
    """The order of the file decides, and remembering changes nothing."""
    schema = schemas.parse(SMALL)
    for _ in range(2):
        found = {name: schema.class_of(name) for name in ("a", "abc", "b", "A")}
        assert {name: kind and kind.name for name, kind in found.items()} == {
            "a": "first",
            "abc": "first",
            "b": "second",
            "A": "second",
        }
    assert SCHEMA.class_of("nothing-like-it") is None


@pytest.mark.parametrize(
    "pattern, account_id, matches",
    [
        ("a*", "a", True),
        ("a*c", "abbbc", True),
        ("a*c", "abcd", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a.c", "abc", False),
        ("a.c", "a.c", True),
        ("[ab]", "a", False),
        ("(a|b)", "a", False),
        ("a+", "aa", False),
        ("a", "a\n", False),
    ],
)
def test_a_pattern_is_a_pattern_and_no_regular_expression(
    pattern: str,
    account_id: str,
    matches: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Only `*` and `?` mean something."""
    schema = schemas.parse(SMALL.replace('"a*"', f'"{pattern}"'))
    assert schema.classes[0].matches(account_id) is matches


def test_what_is_remembered_of_ids_is_bounded() -> None:
    """Clients choose ids; they must not fill the memory."""
    schema = schemas.parse(SMALL)
    for number in range(REMEMBERED_MAX + 10):
        schema.class_of(str(number))
    assert len(schema._remembered) <= REMEMBERED_MAX  # noqa: SLF001 - the bound is the promise


@pytest.mark.parametrize(
    "text, limits",
    [
        ("none", (0, 0)),
        ("unlimited", (None, None)),
        ("100", (100_00, 100)),
        ("100.00", (100_00, 100)),
        ("1e3", (1000_00, 1000)),
    ],
)
def test_an_overdraft_is_in_units_of_each_currency(
    text: str, limits: tuple[int | None, int | None]
) -> None:
    """One class serves accounts of every currency."""
    schema = schemas.parse(SCHEMA_TEXT.replace('overdraft = "50"', f'overdraft = "{text}"'))
    kind = schema.class_of("line:1")
    assert kind is not None
    usd, jpy = limits
    assert (schema.overdraft_limit(kind, "USD"), schema.overdraft_limit(kind, "JPY")) == (usd, jpy)


def test_the_largest_amount_is_in_units_of_each_currency() -> None:
    """As an overdraft is."""
    kind = SCHEMA.class_of("capped:1")
    assert kind is not None
    assert (SCHEMA.amount_max(kind, "USD"), SCHEMA.amount_max(kind, "JPY")) == (100_00, 100)


@pytest.mark.parametrize(
    "given_keys, kind_type, side",
    [
        ('type = "asset"', AccountType.ASSET, Side.DEBIT),
        ('type = "expense"', AccountType.EXPENSE, Side.DEBIT),
        ('type = "liability"', AccountType.LIABILITY, Side.CREDIT),
        ('type = "equity"', AccountType.EQUITY, Side.CREDIT),
        ('type = "revenue"', AccountType.REVENUE, Side.CREDIT),
        ('normal_side = "debit"', AccountType.ASSET, Side.DEBIT),
        ('normal_side = "credit"', AccountType.LIABILITY, Side.CREDIT),
        ('type = "expense"\nnormal_side = "debit"', AccountType.EXPENSE, Side.DEBIT),
        ('type = "asset"\nnormal_side = "credit"', AccountType.ASSET, Side.CREDIT),
        ('type = "revenue"\nnormal_side = "debit"', AccountType.REVENUE, Side.DEBIT),
    ],
)
def test_type_and_side_follow_from_each_other(
    given_keys: str, kind_type: AccountType, side: Side
) -> None:
    """One of both is enough; both together may be a contra account."""
    kind = schemas.parse(SMALL.replace('normal_side = "debit"', given_keys)).classes[1]
    assert (kind.type, kind.normal_side) == (kind_type, side)


def prefixed(prefix: str, text: str = SMALL) -> str:
    """Return `text` with another prefix for exchange accounts."""
    return text.replace("[limits]", f'exchange_accounts = "{prefix}"\n[limits]')


def test_an_exchange_account_is_a_prefix_and_a_code() -> None:
    """Every currency has its own."""
    schema = schemas.parse(SMALL)
    assert schema.exchange_account("USD") == "exchange:USD"
    assert schemas.parse(prefixed("fx.")).exchange_account("USD") == "fx.USD"
    assert schemas.load().exchange_account("BTC") == "exchange:BTC"


def test_an_exchange_account_is_an_account_id_in_every_currency() -> None:
    """An id has at most 128 characters, and the longest code decides."""
    schemas.parse(prefixed("x" * 125))
    longest = f"{prefixed('x' * 125)}[currencies.POINTS]\ndecimals = 0\n"
    expected = r"^schema: defaults\.exchange_accounts: 'x+POINTS' would be no account id$"
    with pytest.raises(SchemaError, match=expected):
        schemas.parse(longest)


@pytest.mark.parametrize("postings_max", [1, 100, 500])
def test_the_number_of_postings_has_a_bound(postings_max: int) -> None:
    """At least one posting, and 100 if the file says nothing."""
    text = SMALL.replace("[limits]", f"[limits]\npostings_max = {postings_max}")
    assert schemas.parse(text).limits.postings_max == postings_max
    assert schemas.parse(SMALL).limits.postings_max == 100


def with_iso(text: str = SMALL) -> str:
    """Return `text` with ISO 4217 switched on."""
    return f"iso_4217 = true\n{text}"


def test_iso_4217_is_there_when_asked_for() -> None:
    """Small schemas stay small; the others know the decimals of the standard."""
    assert set(schemas.parse(SMALL).currencies) == {"USD"}
    assert set(schemas.parse(f"iso_4217 = false\n{SMALL}").currencies) == {"USD"}
    schema = schemas.parse(with_iso())
    assert len(schema.currencies) == len(ISO_4217) > 150
    codes = ("USD", "EUR", "JPY", "ISK", "KWD", "TND", "CLF")
    assert [schema.decimals(code) for code in codes] == [2, 2, 0, 0, 3, 3, 4]


@pytest.mark.parametrize("code", ["XAU", "XXX", "XTS", "XDR"])
def test_a_code_without_a_minor_unit_is_no_currency(code: str) -> None:
    """Whoever keeps gold in the ledger decides in what decimals."""
    with pytest.raises(Invalid):
        schemas.parse(with_iso()).decimals(code)
    own = f"[currencies.{code}]\ndecimals = 6\n{SMALL}"
    assert schemas.parse(with_iso(own)).decimals(code) == 6


def test_iso_4217_needs_no_currencies_besides() -> None:
    """The default currency may be any of the standard's."""
    bare = SMALL.replace("[currencies.USD]\ndecimals = 2", "")
    assert schemas.parse(with_iso(bare)).decimals("USD") == 2
    assert schemas.parse(with_iso(bare.replace("USD", "CLF"))).defaults.currency == "CLF"
    with pytest.raises(SchemaError, match=r"defaults\.currency: 'XAU' is not in .* or ISO 4217"):
        schemas.parse(with_iso(bare.replace("USD", "XAU")))


def test_own_decimals_agree_with_iso_4217_or_are_refused() -> None:
    """One code cannot mean two things; without the standard it means what the file says."""
    three = SMALL.replace("decimals = 2", "decimals = 3")
    expected = r"^schema: currencies\.USD\.decimals: ISO 4217 gives USD 2, and iso_4217 is on$"
    with pytest.raises(SchemaError, match=expected):
        schemas.parse(with_iso(three))
    assert schemas.parse(with_iso()).decimals("USD") == 2
    assert schemas.parse(three).decimals("USD") == 3


@pytest.mark.parametrize("key", ["overdraft", "amount_max"])
def test_a_class_is_exact_in_every_currency_of_iso_4217(key: str) -> None:
    """Cents exist in USD, and not in all of the standard's currencies."""
    cents = f'{SMALL}{key} = "100.50"\n'
    schemas.parse(cents)
    with pytest.raises(SchemaError, match=rf"classes\[1\]\.{key}: '100.50': .*more than the 0 dec"):
        schemas.parse(with_iso(cents))
    schemas.parse(with_iso(f'{SMALL}{key} = "100.00"\n'))


@given(code=st.sampled_from(sorted(ISO_4217)), minor=st.integers(1, 10**38 - 1))
def test_every_currency_of_iso_4217_keeps_its_amounts(code: str, minor: int) -> None:
    """Minor units become text in units and come back, with the standard's exponent."""
    decimals = schemas.load().decimals(code)
    assert decimals == iso4217.Currency(code).exponent
    text = money.to_text(minor, decimals)
    assert len(text.partition(".")[2]) == decimals
    assert money.to_minor(money.parse(text.encode()), decimals, code) == minor


@given(st.text(max_size=5).filter(lambda code: code not in SCHEMA.currencies))
def test_an_unknown_currency_is_invalid(code: str) -> None:
    """There is no guessing of decimals."""
    with pytest.raises(Invalid) as refusal:
        SCHEMA.decimals(code)
    assert refusal.value.code == "currency_unknown"


def test_every_key_of_the_schema_is_in_the_documented_default() -> None:
    """`schema.toml` is its own documentation, and the guide knows every key, too."""
    text = DEFAULT_FILE.read_text(encoding="utf-8")
    guide = GUIDE.read_text(encoding="utf-8")
    tables = (schemas.Defaults, schemas.Limits, schemas.Currency, schemas.AccountClass)
    keys = {key for table in tables for key in table.__struct_encode_fields__} | {"iso_4217"}
    for key in keys:
        assert f"{key} " in text, f"{key} is not explained in schema.toml"
        assert f"| `{key}` |" in guide, f"{key} is not explained in the guide"
