"""What an operator's floor may name: nothing that serve would look for where a client can put it."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_egress.cli.serve_floor import read_floor
from trio_egress.errors import UsageError

HEAD = 'version = "1.0"\ndefault_deny = true\n'
SECRET = '[[secret]]\nname = "token"\nfrom = '
GOOD = (
    "",
    SECRET + '{ env = "TOKEN" }\n',
    SECRET + '{ file = "/etc/token" }\n',
    '[files]\nwrite = ["/srv/cache"]\n',
)


@pytest.mark.parametrize("text", GOOD)
def test_a_floor_is_a_policy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "floor.toml"
    path.write_text(HEAD + text)
    assert read_floor(path).source_file == str(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SECRET + '{ file = "token" }\n', "the secret token: 'token' would be looked for"),
        (SECRET + '{ file = "~/token" }\n', "give an absolute path"),
        (SECRET + '{ command = ["/bin/echo"] }\n', "the secret token comes of a command"),
        ('[scan]\nfiles = ["token"]\n', "[scan] files"),
        ('[files]\nwrite = ["cache"]\n', "[files] write 'cache'"),
    ],
)
def test_one_that_leads_into_a_clients_directory_is_none(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "floor.toml"
    path.write_text(HEAD + text)
    with pytest.raises(UsageError) as caught:
        read_floor(path)
    assert told in str(caught.value)
