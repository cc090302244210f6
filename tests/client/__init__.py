"""How Hevo is asked: calls, transport, credentials, and the connection that they come from."""
