"""One step that uses the action, run by our runner."""

from __future__ import annotations

from tests.action.runner import Ended, Runner

from trio_egress.evidence.sign import generate, render_private_key

HEAD = 'version = "1.0"\ndefault_deny = true\n'
KEY = generate(bytes(range(32)))
KEY_TEXT = render_private_key(KEY).decode()


def use(runner: Runner, policy: str | None = HEAD, **inputs: str) -> Ended:
    """The action with these inputs (`script_path` is script-path), in a workspace with this policy."""
    if policy is not None:
        (runner.workspace / "trio-egress.toml").write_text(policy)
    step = {
        "id": "egress",
        "uses": "./",
        "with": {key.replace("_", "-"): text for key, text in inputs.items()},
    }
    *_, ended = runner.run_job({"steps": [step]})
    print(ended.log.text[:10_000])  # for whoever reads of a failure
    return ended
