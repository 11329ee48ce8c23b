"""One account, as far as deciding needs it. Pure."""

import msgspec

from events.types import AccountType, Metadata, Side, Status

AccountKey = tuple[str, str]


class AccountState(msgspec.Struct, frozen=True, gc=False):
    """An account as of the head of the log. Amounts are in minor units of `currency`."""

    ledger: str
    account_id: str
    account_class: str
    account_type: AccountType
    currency: str
    normal_side: Side
    overdraft_limit: int | None
    metadata: Metadata | None = None
    status: Status = Status.OPEN
    version: int = 1
    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0

    @property
    def balance(self) -> int:
        """The posted balance, positive on the normal side."""
        net = self.credits_posted - self.debits_posted
        return net if self.normal_side is Side.CREDIT else -net

    @property
    def available(self) -> int:
        """The balance without what is held."""
        held = self.debits_pending if self.normal_side is Side.CREDIT else self.credits_pending
        return self.balance - held

    def covers(self, amount: int) -> bool:
        """Return whether `amount` may leave without passing the overdraft limit."""
        return self.overdraft_limit is None or self.available + self.overdraft_limit >= amount
