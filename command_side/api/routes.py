"""The operations of the command side, in the order in which they are documented."""

from command_side.api import accounts, follow_ups, transactions

OPERATIONS = [*transactions.OPERATIONS, *follow_ups.OPERATIONS, *accounts.OPERATIONS]
