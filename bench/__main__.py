"""Run the measurements one after the other: `python -m bench`, or some of them: `python -m bench speech billing`."""

import subprocess
import sys

NAMES = ("speech", "engine", "billing", "fish", "search", "sync")


def main(names: list[str]) -> int:
    """Run each measurement in a process of its own; return how many of them failed."""
    unknown = set(names) - set(NAMES)
    if unknown:
        print(
            f"inconnu\u00a0: {', '.join(sorted(unknown))} (mesures\u00a0: {', '.join(NAMES)})",
            file=sys.stderr,
        )
        return 2
    failed = 0
    for name in names or NAMES:
        print(f"\n══ {name} ══", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
