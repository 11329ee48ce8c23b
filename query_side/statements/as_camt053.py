"""A statement as ISO 20022 camt.053.001.08, BankToCustomerStatement, written piece by piece.

CRDT marks an entry that increases the account on its normal side, and DBIT one that decreases it.
The owner of a wallet therefore sees incoming money as CRDT. The statement of an asset, such as our
own account at a bank, reads like the bank's own statement, where our debit is a credit.

The message holds shorter fields than the ledger. `check` refuses a statement whose amounts or
currency do not fit, before anything is sent. An account id of more than 34 characters goes into the
name, with the id of its stream as identification.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime
from xml.sax.saxutils import escape

from events import money
from events.types import Kind, Side, account_stream_id
from query_side.statements.parameters import Basis
from query_side.statements.statement import AccountStatement, StatementEntry
from runtime.problems import Invalid
from web.times import TICK

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
MEDIA_TYPE = "application/xml"
# The bounds of the types that the message is made of.
DECIMALS_MAX = 5
DIGITS_MAX = 18
ACCOUNT_ID_CHARACTERS_MAX = 34
NAME_CHARACTERS_MAX = 70
REFERENCE_CHARACTERS_MAX = 35
REMITTANCE_CHARACTERS_MAX = 140
ADDITIONAL_CHARACTERS_MAX = 500
_CURRENCY = re.compile(r"[A-Z]{3}")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def check(found: AccountStatement, decimals: int) -> None:
    """Raise Invalid unless the statement fits the message's currencies and amounts."""
    currency = found.account.currency
    if not _CURRENCY.fullmatch(currency):
        raise _unrepresentable(f"takes currency codes of three letters, and this is {currency}")
    if decimals > DECIMALS_MAX:
        detail = f"takes {DECIMALS_MAX} decimals, and {currency} has {decimals}"
        raise _unrepresentable(detail)
    # No entry is more than the total of its side.
    amounts = (
        *(found.opening_balance, found.closing_balance),
        found.debits.amount + found.credits.amount,
    )
    if any(len(str(abs(amount))) > DIGITS_MAX for amount in amounts):
        raise _unrepresentable(f"takes {DIGITS_MAX} digits, and an amount of this has more")


async def statement(
    found: AccountStatement,
    pages: AsyncIterator[list[StatementEntry]],
    decimals: int,
    now: datetime,
) -> AsyncGenerator[bytes, None]:
    """Yield the document: header, balances and totals, then the entries."""
    yield _head(found, decimals, now).encode()
    async for page in pages:
        yield "".join(_entry(found, line, decimals) for line in page).encode()
    yield b"</Stmt></BkToCstmrStmt></Document>\n"


def _head(found: AccountStatement, decimals: int, now: datetime) -> str:
    account, period, known_as = found.account, found.period, found.statement_id.hex
    last_day = (period.end - TICK).date()
    increases, decreases = found.credits, found.debits
    if account.normal_side is Side.DEBIT:
        increases, decreases = decreases, increases
    net = increases.amount - decreases.amount
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Document xmlns="{NAMESPACE}"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>{known_as}</MsgId><CreDtTm>{_time(now)}</CreDtTm></GrpHdr>"
        f"<Stmt><Id>{known_as}</Id><CreDtTm>{_time(now)}</CreDtTm>"
        f"<FrToDt><FrDtTm>{_time(period.start)}</FrDtTm><ToDtTm>{_time(period.end)}</ToDtTm>"
        f"</FrToDt>"
        f"<Acct>{_account_id(account.ledger, account.account_id)}<Ccy>{account.currency}</Ccy>"
        f"<Nm>{_text(account.account_id[:NAME_CHARACTERS_MAX])}</Nm></Acct>"
        f"{_balance('OPBD', found.opening_balance, found, period.start.date(), decimals)}"
        f"{_balance('CLBD', found.closing_balance, found, last_day, decimals)}"
        f"<TxsSummry>"
        f"<TtlNtries><NbOfNtries>{increases.entries + decreases.entries}</NbOfNtries>"
        f"<Sum>{money.to_text(increases.amount + decreases.amount, decimals)}</Sum>"
        f"<TtlNetNtry><Amt>{money.to_text(abs(net), decimals)}</Amt>{_direction(net >= 0)}"
        f"</TtlNetNtry></TtlNtries>"
        f"<TtlCdtNtries><NbOfNtries>{increases.entries}</NbOfNtries>"
        f"<Sum>{money.to_text(increases.amount, decimals)}</Sum></TtlCdtNtries>"
        f"<TtlDbtNtries><NbOfNtries>{decreases.entries}</NbOfNtries>"
        f"<Sum>{money.to_text(decreases.amount, decimals)}</Sum></TtlDbtNtries>"
        f"</TxsSummry>\n"
    )


def _entry(found: AccountStatement, line: StatementEntry, decimals: int) -> str:
    increases = line.side is found.account.normal_side
    amount = _amount(line.amount, found.account.currency, decimals)
    booked_at = line.recorded_at if found.basis is Basis.RECORDED else line.effective_at
    transaction = line.transaction_id.hex
    return (
        f"<Ntry><NtryRef>{line.position}-{line.line}</NtryRef>"
        f"{amount}{_direction(increases)}"
        f"{'<RvslInd>true</RvslInd>' if line.kind == Kind.REFUND else ''}"
        f"<Sts><Cd>BOOK</Cd></Sts>"
        f"<BookgDt><DtTm>{_time(booked_at)}</DtTm></BookgDt>"
        f"<ValDt><DtTm>{_time(line.effective_at)}</DtTm></ValDt>"
        f"<AcctSvcrRef>{transaction}</AcctSvcrRef>"
        f"<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>{'RCDT' if increases else 'ICDT'}</Cd>"
        f"<SubFmlyCd>BOOK</SubFmlyCd></Fmly></Domn>"
        f"<Prtry><Cd>{_text(line.kind)}</Cd><Issr>Daybook</Issr></Prtry></BkTxCd>"
        f"<NtryDtls><TxDtls><Refs><AcctSvcrRef>{transaction}</AcctSvcrRef>"
        f"{_end_to_end(line.reference)}</Refs>"
        f"{amount}{_direction(increases)}"
        f"{_counterparty(found, line, increases=increases)}"
        f"{_remittance(line.description)}"
        f"{_long_reference(line.reference)}"
        f"</TxDtls></NtryDtls></Ntry>\n"
    )


def _balance(code: str, minor: int, found: AccountStatement, day: object, decimals: int) -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f"{_amount(abs(minor), found.account.currency, decimals)}{_direction(minor >= 0)}"
        f"<Dt><Dt>{day}</Dt></Dt></Bal>"
    )


def _amount(minor: int, currency: str, decimals: int) -> str:
    return f'<Amt Ccy="{currency}">{money.to_text(minor, decimals)}</Amt>'


def _direction(increases: bool) -> str:  # noqa: FBT001 - the one thing that it says
    return f"<CdtDbtInd>{'CRDT' if increases else 'DBIT'}</CdtDbtInd>"


def _account_id(ledger: str, account_id: str) -> str:
    if len(account_id) <= ACCOUNT_ID_CHARACTERS_MAX:
        return f"<Id><Othr><Id>{_text(account_id)}</Id></Othr></Id>"
    stream = account_stream_id(ledger, account_id).hex
    scheme = "<SchmeNm><Prtry>stream_id</Prtry></SchmeNm>"
    return f"<Id><Othr><Id>{stream}</Id>{scheme}</Othr></Id>"


def _counterparty(found: AccountStatement, line: StatementEntry, *, increases: bool) -> str:
    role = "DbtrAcct" if increases else "CdtrAcct"
    identification = _account_id(found.account.ledger, line.counterparty)
    name = f"<Nm>{_text(line.counterparty[:NAME_CHARACTERS_MAX])}</Nm>"
    return f"<RltdPties><{role}>{identification}{name}</{role}></RltdPties>"


def _end_to_end(reference: str | None) -> str:
    if reference is None or len(reference) > REFERENCE_CHARACTERS_MAX:
        return ""
    return f"<EndToEndId>{_text(reference)}</EndToEndId>"


def _long_reference(reference: str | None) -> str:
    if reference is None or len(reference) <= REFERENCE_CHARACTERS_MAX:
        return ""
    return f"<AddtlTxInf>{_text(reference[:ADDITIONAL_CHARACTERS_MAX])}</AddtlTxInf>"


def _remittance(description: str | None) -> str:
    if not description:
        return ""
    parts = (
        description[place : place + REMITTANCE_CHARACTERS_MAX]
        for place in range(0, len(description), REMITTANCE_CHARACTERS_MAX)
    )
    return f"<RmtInf>{''.join(f'<Ustrd>{_text(part)}</Ustrd>' for part in parts)}</RmtInf>"


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _text(text: str) -> str:
    """Return text for XML: a character that XML cannot hold becomes U+FFFD."""
    return escape(_NO_XML.sub("\ufffd", text), {"\r": "&#13;"})


def _unrepresentable(detail: str) -> Invalid:
    return Invalid("camt_unrepresentable", f"camt.053 {detail}.", field="format")
