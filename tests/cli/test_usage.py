"""Arguments that there are not: what was meant, and where to look."""

from __future__ import annotations

import pytest

from trio_egress.cli.main import main


@pytest.mark.parametrize(("arguments", "code", "said"), [
    (("run", "--polcy", "x", "--", "true"), 125, "arguments: --polcy; did you mean --policy?\ntrio-egress run --help"),
    (("verfy", "x"), 64, "invalid choice: 'verfy'; did you mean verify?\ntrio-egress --help says"),
    (("policy", "chek"), 64, "did you mean check?\ntrio-egress policy --help says"),
    (("run", "--mode", "obsrve", "true"), 125, "did you mean observe?"),
    (("verify", "--zzz"), 64, "unrecognized arguments: --zzz\ntrio-egress verify --help says"),
])  # fmt: skip
def test_the_nearest_and_the_next_step_are_named(
    arguments: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == code
    assert said in capsys.readouterr().err
