"""A stand-in for Stripe on the loopback interface: what FR02 uses of its API, its payment page and its
webhooks.

The real `stripe` package talks to it over HTTP. It keeps everything in memory, each secret key apart from
the others, and needs nothing but the standard library and `stripe` (for signing). `python -m
tests.stripe_stand_in --port 8301 --webhook http://localhost:8000/stripe/webhook --secret whsec_…` serves a
person who wants to click through a top-up; tests start `StandIn` in a thread and steer it through its
methods.
"""

from tests.stripe_stand_in.server import StandIn

__all__ = ["StandIn"]
