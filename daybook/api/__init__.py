"""The whole HTTP API: the operations of all rooms, and the OpenAPI document that they make."""
