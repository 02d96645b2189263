"""Which files must not be sent to another machine."""

import pytest

from coda_lsp.secret_files import is_secret


@pytest.mark.parametrize(
    ("uri", "secret"),
    [
        ("file:///home/a/project/.env", True),
        ("file:///home/a/project/.env.production", True),
        ("file:///home/a/project/.ENV", True),
        ("file:///c%3A/project/prod%2Eenv", True),
        ("file:///home/a/.ssh/config", True),
        ("file:///home/a/.aws/credentials", True),
        ("file:///etc/ssl/server.pem", True),
        ("file:///srv/tls.key", True),
        ("file:///home/a/id_ed25519", True),
        ("file:///home/a/project/secrets.yaml", True),
        ("untitled:.env", True),
        ("vscode-remote://host/project/.env?x#y", True),
        ("file:///home/a/project/environment.py", False),
        ("file:///home/a/project/app.py", False),
        ("file:///home/a/project/keys.py", False),
        ("file:///home/a/project/monkey.rs", False),
        ("untitled:Untitled-1", False),
        ("", False),
    ],
)
def test_the_name_tells(uri: str, secret: bool) -> None:
    assert is_secret(uri) is secret
