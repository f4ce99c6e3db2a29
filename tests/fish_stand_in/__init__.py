"""A Fish Audio server on the loopback, faithful to its wire, with switches for everything that can go wrong.

In a test: `with running_stand_in() as fish:` gives its address, its faults and what it was asked. By hand:
`python -m tests.fish_stand_in --port 8765`. It speaks HTTP/1.1 and WebSocket by itself: no ready server lets
an answer be cut in the middle, a socket vanish without a close, and an upgrade be refused with a body.
"""
