#!/usr/bin/env python3
"""What a built gate is linked with, as a CycloneDX list (version 1.5) on standard output.

usage: deploy/sbom.py build/release/renewgate

Libraries that are loaded are told by the Debian package that has them on this machine, a library that
is part of the binary by the source package that it was built from. The same binary on the same machine
gives the same bytes.
"""

import json
import pathlib
import platform
import re
import subprocess
import sys
import uuid

ROOT = pathlib.Path(__file__).parent.parent


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def needed(binary):
    """The libraries that the binary itself names, with their files."""
    names = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", binary))
    files = dict(re.findall(r"^\s*(\S+) => (/\S+)", run("ldd", binary), re.M))
    return [files[name] for name in names if name in files]


def package_of(file):
    """Name, version and architecture of the package that has a file."""
    path = pathlib.Path(file)
    for candidate in (path, path.resolve(), "/usr" / path.relative_to("/")):
        found = subprocess.run(["dpkg-query", "-S", str(candidate)], capture_output=True, text=True)
        if found.returncode == 0:
            owner = found.stdout.split(": ")[0]
            return run("dpkg-query", "-W", "-f", "${Package}\n${Version}\n${Architecture}", owner).split("\n")
    sys.exit(f"{sys.argv[0]}: no Debian package has {file}")


def component(name, version, purl, part):
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
            "scope": "required",
            "properties": [{"name": "renewgate:linked", "value": "part of the binary" if part else "loaded"}]}


def components(binary):
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    for name, version, architecture in sorted({tuple(package_of(file)) for file in needed(binary)}):
        yield component(name, version,
                        f"pkg:deb/debian/{name}@{version}?arch={architecture}&distro={codename}", False)
    said = run(binary, "--version")
    part = re.search(r"^  libmicrohttpd (\S+)(?: with (\S+))?, part of this binary$", said, re.M)
    if part:
        found = component("libmicrohttpd", part[1],
                          f"pkg:deb/debian/libmicrohttpd@{part[1]}?arch=source&distro=trixie", True)
        if part[2]:
            patch = {"type": "unofficial", "diff": {"url": f"deploy/{part[2]}"}}
            found["pedigree"] = {"patches": [patch]}
        yield found


def main():
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    version = (ROOT / "VERSION").read_text().strip()
    itself = f"pkg:generic/renewgate@{version}"
    found = list(components(binary))
    key = "\n".join([itself, *(each["purl"] for each in found)])
    json.dump({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, key).urn,
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": itself, "name": "renewgate",
                                   "version": version, "purl": itself,
                                   "licenses": [{"license": {"id": "MIT"}}]}},
        "components": found,
        "dependencies": [{"ref": itself, "dependsOn": [each["bom-ref"] for each in found]}],
    }, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
