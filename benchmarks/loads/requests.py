"""The bytes that the loads send: the JSON of a transfer, and the head of a request."""

from urllib.parse import urlsplit

HEAD_END = b"\r\n\r\n"


def transfer(source: int, destination: int, key: str) -> str:
    """Return the JSON of a transfer from account `source` to account `destination`."""
    return (
        f'{{"transaction":{{"source_account_id":"external:{source}",'
        f'"destination_account_id":"account-{destination}","amount":12.34,'
        f'"currency":"USD"}},"idempotencyKey":"{key}"}}'
    )


def post(target: str, token: str, path: str) -> str:
    """Return the head of a POST up to the value of Content-Length."""
    return (
        f"POST /api/v1/{path} HTTP/1.1\r\nHost: {urlsplit(target).netloc}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: "
    )


def content_length(head: bytes) -> int:
    """Return the Content-Length in `head`, which is in lower case."""
    return int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
