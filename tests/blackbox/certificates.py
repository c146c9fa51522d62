"""Certificates for tests, made by openssl: an authority, and what it signs."""

import subprocess


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True, timeout=60)


class Authority:
    def __init__(self, folder, name="authority"):
        self.folder = folder
        self.name = name
        self.certificate = folder / f"{name}.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2",
                "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign", cwd=folder)

    def issue(self, name, *alternatives, rsa=False, days=2):
        """A certificate and its key, both PEM files; alternatives such as "DNS:mail.test"."""
        kind = ["rsa:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        openssl("req", "-newkey", *kind, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                "-subj", f"/CN={name}", cwd=self.folder)
        extensions = self.folder / f"{name}.ext"
        # Python from 3.13 on insists on what RFC 5280 wants.
        extensions.write_text(f"subjectAltName={','.join(alternatives)}\n"
                              "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", self.certificate, "-CAkey",
                f"{self.name}.key", "-CAcreateserial", "-days", str(days), "-extfile", extensions,
                "-out", f"{name}.pem", cwd=self.folder)
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"
