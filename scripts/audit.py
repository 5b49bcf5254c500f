"""Known vulnerabilities of what is installed, by pip-audit: `make audit`.

Ends with an error where there is one. Where the advisory database cannot be reached, as on machines that see package files alone, it
says that nothing was audited.
"""

import json
import subprocess
import sys
from pathlib import Path

OURS = "maskrcnn-jax"


def main() -> None:
    """Audit this environment."""
    command = [str(Path(sys.executable).with_name("pip-audit")), "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages = [package for package in json.loads(done.stdout)["dependencies"] if package["name"].replace("_", "-") != OURS]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
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
