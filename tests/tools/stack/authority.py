"""An authority of the tests and what it signs, made by Java's own keytool: no other tool is needed
for the servers either.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.stack import java

PASSWORD = "of-the-keystore"


@dataclass(frozen=True)
class Authority:
    """Files of one authority."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """What clients trust, PEM."""
        return self.folder / "authority.pem"

    @property
    def keystore(self) -> Path:
        """The server's key and certificate for 127.0.0.1, PKCS12, with `PASSWORD`."""
        return self.folder / "server.p12"


def found(folder: Path) -> Authority:
    """A new authority that has signed a server."""
    folder.mkdir()
    made = Authority(folder)
    store, server = ("-keystore", folder / "authority.p12"), ("-keystore", made.keystore)
    key = ("-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "2")
    signed = ("-ext", "san=ip:127.0.0.1", "-rfc")
    _keytool(*key, *store, "-alias", "ca", "-dname", "CN=tests", "-ext", "bc:c")
    _keytool("-exportcert", *store, "-alias", "ca", "-rfc", "-file", made.certificate)
    _keytool(*key, *server, "-alias", "server", "-dname", "CN=server")
    request, answer = folder / "request.pem", folder / "server.pem"
    _keytool("-certreq", *server, "-alias", "server", "-file", request)
    _keytool("-gencert", *store, "-alias", "ca", *signed, "-infile", request, "-outfile", answer)
    _keytool("-importcert", *server, "-alias", "ca", "-noprompt", "-file", made.certificate)
    _keytool("-importcert", *server, "-alias", "server", "-noprompt", "-file", answer)
    return made


def _keytool(*arguments: object) -> None:
    tool = java.installed()[0].home / "bin" / "keytool"
    subprocess.run(
        [str(tool), *map(str, arguments), "-storetype", "PKCS12", "-storepass", PASSWORD],
        check=True,
        capture_output=True,
        timeout=60,
    )
