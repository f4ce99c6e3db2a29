"""Run the stand-in for a person: `python -m tests.stripe_stand_in --port 8301 --webhook URL --secret
whsec_…`.
"""

import argparse
import signal
import threading

from tests.stripe_stand_in.server import StandIn

SEPA_AFTER_S = 20


def main() -> None:
    """Serve until a signal comes. A direct debit is answered after twenty seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--webhook", required=True)
    parser.add_argument("--secret", required=True)
    options = parser.parse_args()
    stand_in = StandIn(options.port, webhook_url=options.webhook, secrets=[options.secret])
    stand_in.sepa_after_s = SEPA_AFTER_S
    stand_in.start()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *received: ended.set())
    ended.wait()
    stand_in.stop()


if __name__ == "__main__":
    main()
