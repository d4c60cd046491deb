"""What leader, follower and command line must agree on, and nothing else.

Entry rule: pure; no sockets, no database, no framework but pydantic. Everything else has an owner.
"""
