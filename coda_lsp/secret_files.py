"""Files whose text must not leave the machine, told by their names."""

from __future__ import annotations

from fnmatch import fnmatchcase
from urllib.parse import unquote, urlsplit

_SECRET_NAMES = (
    ".env",
    ".env.*",
    "*.env",
    ".envrc",
    "*.pem",
    "*.key",
    "*.p8",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.ppk",
    "*.gpg",
    "*.tfstate",
    "*.tfvars",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".git-credentials",
    ".htpasswd",
    "credentials",
    "credentials.*",
    "secrets",
    "secrets.*",
    "service-account*.json",
    "kubeconfig",
)
_SECRET_FOLDERS = (".ssh", ".aws", ".gnupg", ".kube")


def is_secret(uri: str) -> bool:
    """Say whether a document's name tells that it holds keys, passwords or tokens."""
    *folders, name = unquote(urlsplit(uri).path).lower().split("/")
    if any(folder in _SECRET_FOLDERS for folder in folders):
        return True
    return any(fnmatchcase(name, pattern) for pattern in _SECRET_NAMES)
