"""Known vulnerabilities of what is installed, by pip-audit: `make audit`.

Ends with an error where there is one, or where pip-audit fails. Where the advisory database cannot be reached, as on machines that see
package files alone, it says that nothing was audited.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

OURS = "maskrcnn-jax"
# What pip-audit says where the network is at fault: its own words, and what its HTTP library raises through it.
UNREACHABLE = re.compile(
    r"vulnerability feed|not redirecting properly|requests\.exceptions\.(\w*Timeout|ConnectionError|ProxyError|SSLError)"
)


def main() -> None:
    """Audit this environment."""
    command = [str(Path(sys.executable).with_name("pip-audit")), "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages = [package for package in json.loads(done.stdout)["dependencies"] if package["name"].replace("_", "-") != OURS]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        if not UNREACHABLE.search(done.stderr):
            raise SystemExit(f"pip-audit failed, status {done.returncode} ({last})") from None
        print(f"NOT AUDITED: pip-audit reached no advisory database ({last})")
        return
    found = [
        f"{package['name']} {package['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions']) or 'no version'}"
        for package in packages
        for fault in package.get("vulns", ())
    ]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if skipped:
        print(f"NOT AUDITED: {len(skipped)} of {len(packages)} packages, of which the database that can be reached here knows nothing")
    print(f"audited: {len(packages) - len(skipped)} packages, {len(found)} known vulnerabilities")
    if found:
        raise SystemExit("\n".join(found))


if __name__ == "__main__":
    main()
