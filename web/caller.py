"""Who is asking, and about which ledger: the first question of every operation.

A token is bound to scopes and to one or more ledgers. A request is about exactly one of them: the
token's only one, or the one that the header `Daybook-Ledger` names.

    401 token_missing, token_unknown    who is asking?
    403 scope_missing                   may they do this at all?
    400 ledger_missing                  several ledgers, and none is named
    403 ledger_not_allowed              not a ledger of this token, whether it exists or not
"""

from collections.abc import Mapping

import msgspec

from runtime.problems import Invalid, NotAllowed
from web.tokens import Tokens

LEDGER = "daybook-ledger"


class Caller(msgspec.Struct, frozen=True):
    """A client that may do what it asks for, in `ledger`; `who` is the label of its token."""

    ledger: str
    who: str


async def identify(headers: Mapping[str, str], tokens: Tokens, scope: str) -> Caller:
    """Return who sent these headers. Raises Unidentified, NotAllowed, Invalid."""
    principal = await tokens.principal(headers.get("authorization"))
    ledgers = principal.require(scope).ledgers
    named = headers.get(LEDGER)
    if named is None:
        if len(ledgers) > 1:
            detail = "The token has several ledgers: name one in the header `Daybook-Ledger`."
            raise Invalid("ledger_missing", detail)
        (named,) = ledgers
    elif named not in ledgers:
        detail = "The token has no ledger of the name in the header `Daybook-Ledger`."
        raise NotAllowed("ledger_not_allowed", detail)
    return Caller(named, principal.label)
