"""May it happen? From a request to a decided, durable event."""
