"""The table of operations: every route of the API, in the order in which they are documented."""

from collections.abc import Mapping
from typing import Any

import msgspec

from command_side.requests.shapes import (
    ChangeBody,
    CloseBody,
    EndBody,
    FollowUpBody,
    OpenBody,
    SubmitBody,
)
from daybook.openapi import answers, codes
from daybook.openapi.answers import (
    Accepted,
    BatchResult,
    BatchResults,
    Books,
    Policy,
    Polled,
    Rehearsed,
)
from daybook.openapi.codes import Codes
from daybook.openapi.parameters import (
    ACCOUNTS,
    CONSISTENCY,
    CURSOR,
    DIFFERENCE,
    DISCREPANCIES,
    DRY_RUN,
    ENTRIES,
    EVENTS,
    FOLLOW,
    FRESH,
    KEY,
    LEDGER_ENTRIES,
    LIMIT,
    MODE,
    PAGING,
    POINT,
    STATEMENT,
    TRANSACTIONS,
    TRIAL_BALANCE,
    WAIT,
    Parameter,
)
from projections.auditing.routes import PeriodBody
from projections.auditing.runs.routes import ReconciliationBody
from projections.repairing.routes import RepairBody
from projections.sealing.receipts import Receipt

JSON = "application/json"
NDJSON = "application/x-ndjson"
TEXT = "text/plain"
CSV = "text/csv"
XML = "application/xml"
BYTES = "application/octet-stream"
SSE = "text/event-stream"
# The shape of a body, or a tuple of those that it may have, by media type.
Bodies = Mapping[str, Any]

TAGS = {
    "Submitting": "Money moves, or is held, scheduled, given back: what has an idempotency key.",
    "Accounts": "Policies of accounts, and closing the books.",
    "Reading transactions": "What was submitted, and what became of it.",
    "The log": "What happened, as it was recorded.",
    "Reading accounts": "Balances, entries and events of an account.",
    "Reconciling": "The log replayed against what the read models show.",
    "Proving": "The log as a transparency log: checkpoints, receipts, proofs.",
    "The service": "How it is.",
}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A route. Without a `scope` it needs no token; `answers` are the good ones, by status."""

    name: str
    route: str
    tag: str
    summary: str
    answers: Mapping[int, Bodies]
    scope: str | None = None
    body: Bodies | None = None
    body_required: bool = True
    parameters: tuple[Parameter, ...] = ()
    problems: Codes = frozenset()

    @property
    def method(self) -> str:
        """The HTTP method, in lower case as the document has it."""
        return self.route.partition(" ")[0].lower()

    @property
    def path(self) -> str:
        """The path below the API's own."""
        return self.route.partition(" ")[2]


def _json(shape: Any) -> Bodies:  # noqa: ANN401 - a type, or several
    return {JSON: shape}


_SUBMITTED = {200: _json((Polled, Rehearsed)), 202: _json(Accepted)}

WRITING = (
    Operation(
        name="submit",
        route="POST /transactions",
        tag="Submitting",
        summary="Submit a transfer, a hold or a scheduled transfer",
        scope="write",
        parameters=(KEY, WAIT, DRY_RUN),
        body=_json(SubmitBody),
        answers=_SUBMITTED,
        problems=codes.SUBMIT,
    ),
    Operation(
        name="submitBatch",
        route="POST /transactions/batch",
        tag="Submitting",
        summary="Submit up to 10,000, each alone or all or none",
        scope="write",
        parameters=(MODE, WAIT, DRY_RUN),
        body={JSON: list[SubmitBody], NDJSON: SubmitBody},
        answers={
            200: {JSON: (BatchResults, Rehearsed), NDJSON: BatchResult},
            202: {JSON: BatchResults, NDJSON: BatchResult},
        },
        problems=codes.BATCH,
    ),
    Operation(
        name="refund",
        route="POST /transactions/{transaction_id}/refund",
        tag="Submitting",
        summary="Give back all or part of a transaction",
        scope="write",
        parameters=(KEY, WAIT, DRY_RUN),
        body=_json(FollowUpBody),
        body_required=False,
        answers=_SUBMITTED,
        problems=codes.REFUND,
    ),
    Operation(
        name="capture",
        route="POST /transactions/{transaction_id}/capture",
        tag="Submitting",
        summary="Post all or part of a hold",
        scope="write",
        parameters=(KEY, WAIT, DRY_RUN),
        body=_json(FollowUpBody),
        body_required=False,
        answers=_SUBMITTED,
        problems=codes.CAPTURE,
    ),
    Operation(
        name="void",
        route="POST /transactions/{transaction_id}/void",
        tag="Submitting",
        summary="Release what is left of a hold",
        scope="write",
        parameters=(KEY, WAIT, DRY_RUN),
        body=_json(EndBody),
        body_required=False,
        answers=_SUBMITTED,
        problems=codes.VOID,
    ),
    Operation(
        name="cancel",
        route="POST /transactions/{transaction_id}/cancel",
        tag="Submitting",
        summary="Cancel a scheduled transfer",
        scope="write",
        parameters=(KEY, WAIT, DRY_RUN),
        body=_json(EndBody),
        body_required=False,
        answers=_SUBMITTED,
        problems=codes.CANCEL,
    ),
    Operation(
        name="openAccount",
        route="POST /accounts",
        tag="Accounts",
        summary="Open an account; 200 if it is there just so",
        scope="write",
        parameters=(DRY_RUN,),
        body=_json(OpenBody),
        answers={200: _json((Policy, Rehearsed)), 201: _json(Policy)},
        problems=codes.OPEN,
    ),
    Operation(
        name="changeAccount",
        route="PATCH /accounts/{account_id}",
        tag="Accounts",
        summary="Freeze, open again or close an account; change its overdraft or metadata",
        scope="write",
        parameters=(DRY_RUN,),
        body=_json(ChangeBody),
        answers={200: _json((Policy, Rehearsed))},
        problems=codes.CHANGE,
    ),
    Operation(
        name="closeBooks",
        route="POST /books/close",
        tag="Accounts",
        summary="Let nothing be dated before a moment that has passed, for good",
        scope="admin",
        parameters=(DRY_RUN,),
        body=_json(CloseBody),
        answers={200: _json((Books, Rehearsed))},
        problems=codes.CLOSE,
    ),
)
READING = (
    Operation(
        name="status",
        route="GET /transactions/status/{key}",
        tag="Reading transactions",
        summary="What became of a submission, by its idempotency key",
        scope="read",
        parameters=FRESH,
        answers={200: _json(Polled), 202: _json(answers.Processing)},
        problems=codes.READ | codes.NO_TRANSACTION,
    ),
    Operation(
        name="transaction",
        route="GET /transactions/{transaction_id}",
        tag="Reading transactions",
        summary="One transaction as it stands, and what refers to it",
        scope="read",
        parameters=FRESH,
        answers={200: _json(answers.Transaction)},
        problems=codes.READ | codes.NO_TRANSACTION,
    ),
    Operation(
        name="transactions",
        route="GET /transactions",
        tag="Reading transactions",
        summary="A ledger's transactions, failed ones included, newest first",
        scope="read",
        parameters=(*TRANSACTIONS, *FRESH),
        answers={200: _json(answers.Transactions)},
        problems=codes.TRANSACTIONS,
    ),
    Operation(
        name="events",
        route="GET /events",
        tag="The log",
        summary="A ledger's events as they were recorded, oldest first; as NDJSON all of them",
        scope="read",
        parameters=(*EVENTS, *FRESH),
        answers={200: {JSON: answers.LogEvents, NDJSON: answers.LogEvent}},
        problems=codes.EVENTS,
    ),
    Operation(
        name="followEvents",
        route="GET /events/stream",
        tag="The log",
        summary="Every event as it is recorded: Server-Sent Events",
        scope="read",
        parameters=FOLLOW,
        answers={200: {SSE: str}},
        problems=codes.FOLLOW,
    ),
    Operation(
        name="verifyDoubleEntry",
        route="POST /transactions/{transaction_id}/verify-double-entry",
        tag="Reading transactions",
        summary="A transaction's entries, and whether they balance",
        scope="read",
        parameters=FRESH,
        answers={200: _json(answers.Verification)},
        problems=codes.READ | codes.NO_TRANSACTION,
    ),
    Operation(
        name="entries",
        route="GET /entries",
        tag="Reading transactions",
        summary="A ledger's entries, newest first",
        scope="read",
        parameters=(*ENTRIES, *FRESH),
        answers={200: _json(answers.Entries)},
        problems=codes.ENTRIES,
    ),
    Operation(
        name="accounts",
        route="GET /accounts",
        tag="Reading accounts",
        summary="A ledger's accounts by id, each with policy and balance",
        scope="read",
        parameters=(*ACCOUNTS, *FRESH),
        answers={200: _json(answers.Accounts)},
        problems=codes.ACCOUNTS,
    ),
    Operation(
        name="account",
        route="GET /accounts/{account_id}",
        tag="Reading accounts",
        summary="An account's policy",
        scope="read",
        parameters=FRESH,
        answers={200: _json(answers.Account)},
        problems=codes.READ | codes.NO_ACCOUNT,
    ),
    Operation(
        name="balance",
        route="GET /accounts/{account_id}/balance",
        tag="Reading accounts",
        summary="An account's counters, now or at a point",
        scope="read",
        parameters=(*POINT, *FRESH),
        answers={200: _json(answers.Balance)},
        problems=codes.BALANCE,
    ),
    Operation(
        name="balanceDifference",
        route="GET /accounts/{account_id}/balance-difference",
        tag="Reading accounts",
        summary="An account's counters at two points, and every entry between",
        scope="read",
        parameters=(*DIFFERENCE, *FRESH),
        answers={200: _json(answers.BalanceDifference)},
        problems=codes.DIFFERENCE,
    ),
    Operation(
        name="ledger",
        route="GET /accounts/{account_id}/ledger",
        tag="Reading accounts",
        summary="An account's entries, newest first",
        scope="read",
        parameters=(*LEDGER_ENTRIES, *FRESH),
        answers={200: _json(answers.Entries)},
        problems=codes.ENTRIES | codes.NO_ACCOUNT,
    ),
    Operation(
        name="auditTrail",
        route="GET /accounts/{account_id}/audit-trail",
        tag="Reading accounts",
        summary="Every event that concerns an account, as recorded, newest first",
        scope="read",
        parameters=(*PAGING, *FRESH),
        answers={200: _json(answers.Events)},
        problems=codes.LIST | codes.NO_ACCOUNT,
    ),
    Operation(
        name="statement",
        route="GET /accounts/{account_id}/statement",
        tag="Reading accounts",
        summary="An account's statement of a period",
        scope="read",
        parameters=(*STATEMENT, *FRESH),
        answers={200: {JSON: answers.Statement, CSV: str, XML: str}},
        problems=codes.STATEMENT,
    ),
    Operation(
        name="books",
        route="GET /books",
        tag="Reading accounts",
        summary="Until when the books are closed",
        scope="read",
        parameters=FRESH,
        answers={200: _json(answers.Books)},
        problems=codes.READ,
    ),
    Operation(
        name="trialBalance",
        route="GET /trial-balance",
        tag="Reading accounts",
        summary="Every account's counters at a point, and their sums",
        scope="read",
        parameters=(*TRIAL_BALANCE, *FRESH),
        answers={200: {JSON: answers.TrialBalance, CSV: str}},
        problems=codes.TRIAL_BALANCE,
    ),
    Operation(
        name="reconcile",
        route="POST /accounts/{account_id}/reconcile",
        tag="Reconciling",
        summary="Replay an account's events from the log and compare; the report is kept",
        scope="reconcile",
        parameters=FRESH,
        body=_json(PeriodBody),
        body_required=False,
        answers={200: _json(answers.Reconciliation)},
        problems=codes.RECONCILE,
    ),
    Operation(
        name="reconciliationDifference",
        route="GET /accounts/{account_id}/reconciliation-difference",
        tag="Reconciling",
        summary="The same as of now, for the whole time; nothing is kept",
        scope="read",
        parameters=FRESH,
        answers={200: _json(answers.Reconciliation)},
        problems=codes.READ | codes.NO_ACCOUNT,
    ),
    Operation(
        name="reconciliationHistory",
        route="GET /accounts/{account_id}/reconciliation-history",
        tag="Reconciling",
        summary="An account's reports, newest first",
        scope="read",
        parameters=(LIMIT, CURSOR, *FRESH),
        answers={200: _json(answers.Reports)},
        problems=codes.READ | codes.RECONCILIATIONS,
    ),
    Operation(
        name="askReconciliation",
        route="POST /reconciliations",
        tag="Reconciling",
        summary="Ask for a whole ledger, or an account, to be reconciled behind the scenes",
        scope="reconcile",
        body=_json(ReconciliationBody),
        body_required=False,
        answers={202: _json(answers.AskedReconciliation)},
        problems=codes.ASKED_RECONCILIATION,
    ),
    Operation(
        name="reconciliations",
        route="GET /reconciliations",
        tag="Reconciling",
        summary="The ledger's reconciliations, newest first",
        scope="read",
        parameters=(LIMIT, CURSOR),
        answers={200: _json(answers.AskedReconciliations)},
        problems=codes.RECONCILIATIONS | codes.READ_PATH,
    ),
    Operation(
        name="reconciliation",
        route="GET /reconciliations/{reconciliation_id}",
        tag="Reconciling",
        summary="How a reconciliation stands; `continuous` is the one that never ends",
        scope="read",
        answers={200: _json(answers.AskedReconciliation)},
        problems=codes.ONE_RECONCILIATION,
    ),
    Operation(
        name="discrepancies",
        route="GET /reconciliations/{reconciliation_id}/discrepancies",
        tag="Reconciling",
        summary="What a reconciliation found, in the order in which it did",
        scope="read",
        parameters=DISCREPANCIES,
        answers={200: {JSON: answers.Discrepancies, CSV: str}},
        problems=codes.ONE_RECONCILIATION | codes.RECONCILIATIONS | codes.KIND,
    ),
    Operation(
        name="repair",
        route="POST /repairs",
        tag="Reconciling",
        summary="Plan which rows to put right, from the log; with `apply`, do it",
        scope="repair",
        parameters=FRESH,
        body=_json(RepairBody),
        answers={200: _json((answers.RepairPlan, answers.RepairDone))},
        problems=codes.REPAIR,
    ),
    Operation(
        name="repairs",
        route="GET /repairs",
        tag="Reconciling",
        summary="The ledger's latest repairs, newest first",
        scope="read",
        parameters=FRESH,
        answers={200: _json(answers.Repairs)},
        problems=codes.READ,
    ),
    Operation(
        name="oneRepair",
        route="GET /repairs/{repair_id}",
        tag="Reconciling",
        summary="One repair: who, when, why, and every row before and after",
        scope="read",
        parameters=FRESH,
        answers={200: _json(answers.RepairDone)},
        problems=codes.READ | codes.NO_REPAIR,
    ),
)
PROVING = (
    Operation(
        name="receipt",
        route="GET /transactions/{transaction_id}/receipt",
        tag="Proving",
        summary="All that shows, offline, that a transaction is in the signed log",
        scope="read",
        parameters=FRESH,
        answers={200: _json(Receipt)},
        problems=codes.SEALED | codes.NO_TRANSACTION,
    ),
    Operation(
        name="sealCheckpoint",
        route="GET /seal/checkpoint",
        tag="Proving",
        summary="The latest signed checkpoint (C2SP tlog-checkpoint)",
        scope="read",
        parameters=FRESH,
        answers={200: {TEXT: str}},
        problems=codes.SEALED,
    ),
    Operation(
        name="sealTile",
        route="GET /seal/tile/{level}/{tile}",
        tag="Proving",
        summary="A tile of hashes (C2SP tlog-tiles)",
        scope="read",
        parameters=FRESH,
        answers={200: {BYTES: str}},
        problems=codes.TILE,
    ),
    Operation(
        name="sealConsistency",
        route="GET /seal/consistency",
        tag="Proving",
        summary="Proof that the log of one size begins with the log of another",
        scope="read",
        parameters=(*CONSISTENCY, *FRESH),
        answers={200: _json(answers.Consistency)},
        problems=codes.CONSISTENCY,
    ),
)
SERVICE = (
    Operation(
        name="queueStats",
        route="GET /queue/stats",
        tag="The service",
        summary="What the queue says of itself",
        scope="read",
        parameters=FRESH,
        answers={200: _json(answers.QueueStats)},
        problems=codes.READ | {"queue_unavailable", "queue_gone"},
    ),
    Operation(
        name="cacheStats",
        route="GET /cache/stats",
        tag="The service",
        summary="What the cache says of itself; one that is down is an answer, too",
        scope="read",
        parameters=FRESH,
        answers={200: _json(answers.CacheStats)},
        problems=codes.READ,
    ),
    Operation(
        name="health",
        route="GET /health",
        tag="The service",
        summary="Answers as long as the process can",
        answers={200: _json(answers.Health)},
    ),
    Operation(
        name="ready",
        route="GET /ready",
        tag="The service",
        summary="Whether the process can do its work; 503 only without the database",
        answers={200: _json(answers.Readiness), 503: _json(answers.Readiness)},
    ),
    Operation(
        name="metrics",
        route="GET /metrics",
        tag="The service",
        summary="The process's metrics, for Prometheus",
        answers={200: {TEXT: str}},
    ),
    Operation(
        name="openapi",
        route="GET /openapi.json",
        tag="The service",
        summary="This document",
        answers={200: _json(answers.Json)},
    ),
)
OPERATIONS = (*WRITING, *READING, *PROVING, *SERVICE)
