"""Of report.html: what stands behind the traffic. Findings, the boundary, the books, the policy, and who signed.

Rule 1: what only the machine claims, and no receipt repeats, says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from trio_egress.evidence.balance import COUNTERS
from trio_egress.evidence.report import render_balance
from trio_egress.evidence.rotation import ROTATION_FACT
from trio_egress.pages.dossier import Dossier, Members
from trio_egress.pages.markup import Content, Html, code, show, tag
from trio_egress.pages.story import Mention
from trio_egress.pages.traffic import SOURCE_LINES, render_section
from trio_egress.pages.words import count_of, render_moment, render_seconds

CHANGES_SHOWN = 30
FINDINGS_SHOWN = 50
PROBES_SHOWN = 120
KEYS_SHOWN = 20
VERSIONS_SHOWN = 12
NAMES_SHOWN = 100
LINE_CHARS = 160
"""Of a line of the policy."""

POINTS_SHOWN = 20

_POSTURE = (
    ("enforcement_mode", "Mode"),
    ("raw_socket_status", "Raw sockets"),
    ("dns_udp_status", "DNS"),
    ("docker_socket_status", "Container socket"),
    ("browser_proxy_status", "Way through the proxy"),
    ("websocket_frame_scanning", "WebSocket scanning"),
)


def render_pairs(pairs: list[tuple[str, Content]]) -> Html:
    """Names and values; a value that is empty is left out."""
    return tag(
        "dl",
        *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs if value),
        class_="pairs",
    )


def render_points(points: list[str]) -> Html:
    shown = [tag("li", show(point, 300)) for point in points[:POINTS_SHOWN]]
    more = [tag("li", f"… and {len(points) - POINTS_SHOWN} more")] if len(points) > POINTS_SHOWN else []
    return tag("ul", *shown, *more, class_="points")


def render_findings(dossier: Dossier) -> Html:
    report = dossier.report
    notes = [render_points(list(report.notes)) if report.notes else None, _render_secrets(dossier)]
    if not report.finding_count:
        empty = tag("p", "The verifier found nothing wrong.", class_="empty")
        return render_section("findings", "Findings", None, empty, notes)
    items = [
        tag("li", tag("code", finding.code, class_="code bad"), show(finding.message, 400))
        for finding in report.findings[:FINDINGS_SHOWN]
    ]
    left = report.finding_count - len(items)
    more = tag("p", f"… and {left:,} more.", class_="more") if left > 0 else None
    said = count_of(report.finding_count, "finding")
    return render_section(
        "findings", "Findings", f"{said} of the verifier", tag("ol", *items, class_="points"), more, notes
    )


def _render_secrets(dossier: Dossier) -> Content:
    """A secret in an attempt is what a reader must not miss, whoever was to get it."""
    told = [tag("li", code(show(name, 64), "code warn"), words) for name, words in list_secrets(dossier)]
    if not told:
        return None
    meant = (
        "What the policy calls secret. Receipts have a commitment in place of a value, and the agent a placeholder in "
        "place of one that is sent."
    )
    return [tag("h3", "Secrets"), tag("p", meant), tag("ul", *told, class_="points")]


def list_secrets(dossier: Dossier) -> Iterator[tuple[str, str]]:
    """Each secret, and in how many attempts it stood, was put in or was refused, to whom."""
    for name, secret in sorted(dossier.story.secrets.items()):
        stood, used, refused = secret.stood, secret.used, secret.refused
        if stood.attempts:
            through = f"{stood.allowed:,} of them let through"
            yield name, f"stood in {count_of(stood.attempts, 'attempt')}, {through}: {_list_hosts(stood)}"
        if refused.attempts:
            yield (
                name,
                f"was asked for and refused in {count_of(refused.attempts, 'attempt')}: {_list_hosts(refused)}",
            )
        if used.attempts:
            yield name, f"was put into {count_of(used.attempts, 'request')}: {_list_hosts(used)}"


def _list_hosts(mention: Mention) -> str:
    return ", ".join(show(host, 80) for host in sorted(mention.hosts))


def render_boundary(dossier: Dossier) -> Html:
    posture, measured = dossier.part("posture"), dossier.posture
    agent = _name_user(posture, "agent")
    machine = " ".join(
        filter(
            None,
            (
                show(posture.get("runner_os"), 40),
                show(measured.get("kernel"), 60),
                show(posture.get("runner_arch"), 40),
            ),
        )
    )
    pairs: list[tuple[str, Content]] = [(name, show(posture.get(key), 60)) for key, name in _POSTURE]
    pairs += [("Agent runs as", agent), ("Proxy runs as", _name_user(posture, "host")), ("Machine", machine)]
    if not posture and not measured:
        empty = tag("p", "Nothing is recorded of the boundary.", class_="empty")
        return render_section("boundary", "Boundary", None, empty)
    uncovered = posture.get("unsupported_paths")
    points = [item for item in uncovered if isinstance(item, str)] if isinstance(uncovered, list) else []
    return render_section(
        "boundary",
        "Boundary",
        "as it was measured from inside, before the agent ran" if measured else "as the machine claims it",
        render_pairs(pairs),
        _render_probes(measured),
        [tag("h3", "Outside of its control"), render_points(points)] if points else None,
    )


def _name_user(posture: Members, who: str) -> str:
    name, uid = show(posture.get(f"{who}_user"), 60), posture.get(f"{who}_uid")
    number = f"uid {uid}" if type(uid) is int and 0 <= uid < 1 << 32 else ""
    return f"{name} ({number})" if name and number and name != str(uid) else name or number


def _render_probes(measured: Members) -> Html | None:
    probes = measured.get("probes")
    if not isinstance(probes, dict) or not probes:
        return None
    rows = [
        tag("div", tag("dt", show(name, 40).replace("_", " ")), tag("dd", show(answer, 40)))
        for name, answer in sorted(probes.items())[:PROBES_SHOWN]
    ]
    return tag(
        "details",
        tag("summary", f"Answers to {count_of(len(probes), 'probe')}"),
        tag("dl", *rows, class_="probes"),
    )


def render_books(dossier: Dossier) -> Html:
    balance = dossier.report.balance
    if balance is None or not balance.rows:
        said = (
            render_balance(balance)
            if dossier.report.close_reason
            else "the chain is not closed, so it has no books"
        )
        empty = tag("p", f"{said[:1].upper()}{said[1:]}.", class_="empty")
        return render_section("books", "Books", None, empty)
    rows = [row for row in balance.rows if row.counted or row.recorded or row.unexplained]
    zero = len(balance.rows) - len(rows)
    columns = ("Counted by the kernel", "Times", "In receipts", "Unexplained")
    heads = (tag("th", n, scope="col", class_="number" if i else None) for i, n in enumerate(columns))
    table = tag(
        "table",
        tag("caption", "The kernel counts by rules that know nothing of receipts; both must agree."),
        tag("thead", tag("tr", *heads)),
        tag(
            "tbody",
            *(
                tag(
                    "tr",
                    tag("th", COUNTERS[row.counter], scope="row"),
                    tag("td", f"{row.counted:,}", class_="number", data_label="Times"),
                    tag("td", f"{row.recorded:,}", class_="number", data_label="In receipts"),
                    tag(
                        "td",
                        tag("strong", f"{row.unexplained:+,}", class_="bad") if row.unexplained else "0",
                        class_="number",
                        data_label="Unexplained",
                    ),
                )
                for row in rows
            ),
        ),
        class_="folds",
    )
    said = render_balance(balance)
    return render_section(
        "books",
        "Books",
        "balanced" if balance.is_even else tag("strong", "do not balance", class_="bad"),
        table if rows else None,
        tag("p", f"{said[:1].upper()}{said[1:]}."),
        tag("p", f"{count_of(zero, 'further counter')} at 0.", class_="more") if zero else None,
    )


def render_policy(dossier: Dossier) -> Html:
    report, policy, changed = dossier.report, dossier.part("policy"), len(dossier.story.changes)
    pairs: list[tuple[str, Content]] = [
        ("File", code(show(policy.get("config_path"))) if policy.get("config_path") else None),
        ("Compiled, in every receipt", code(show(report.policy_hash))),
        ("As given", code(f"sha256:{dossier.policy_sha256}") if dossier.policy_sha256 else None),
    ]
    return render_section(
        "policy",
        "Policy",
        f"changed {count_of(changed, 'time')} during the run" if changed else "the same for the whole run",
        render_pairs(pairs),
        *_render_changes(dossier),
        _render_source(dossier),
    )


def _render_changes(dossier: Dossier) -> Iterator[Html]:
    changes = dossier.story.changes
    for change in changes[:CHANGES_SHOWN]:
        at = render_seconds(change.at_ns - dossier.story.started_ns)
        to, ended = show(change.facts.get("policy_to"), 80), change.facts.get("connections_ended")
        said = (
            f"After {at} another policy came into force: "
            if change.taken
            else f"After {at} another policy was refused: "
        )
        cut = (
            f", and {count_of(ended, 'open connection')} ended"
            if type(ended) is int and 0 < ended < 1 << 53
            else ""
        )
        yield tag("p", said, code(to) if change.taken else show(change.facts.get("reason"), 300), cut)
    if len(changes) > CHANGES_SHOWN:
        yield tag("p", f"… and {len(changes) - CHANGES_SHOWN} more.", class_="more")


def _render_source(dossier: Dossier) -> Html | None:
    if not dossier.policy_name:
        return None
    lines = dossier.policy_text.split("\n")
    lines = lines[:-1] if lines[-1] == "" else lines
    shown = [tag("li", code(show_source(line)), id=f"L{n}") for n, line in enumerate(lines[:SOURCE_LINES], 1)]
    left = len(lines) - SOURCE_LINES
    return tag(
        "details",
        tag("summary", f"{dossier.policy_name}, {count_of(len(lines), 'line')}"),
        tag("ol", *shown, class_="source"),
        tag("p", f"… and {count_of(left, 'more line')}: see {dossier.policy_name}.", class_="more")
        if left > 0
        else None,
        open=len(lines) <= 60,
    )


def show_source(line: str) -> str:
    """A line of a policy as an editor shows it; what isn't printable, as its escape."""
    line = line.expandtabs(4)
    if len(line) > LINE_CHARS:
        line = f"{line[:LINE_CHARS]}...({len(line) - LINE_CHARS} more)"
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)
    return shown if len(shown) <= 2 * LINE_CHARS else f"{shown[: 2 * LINE_CHARS]}..."


def render_record(dossier: Dossier) -> Html:
    report, run = dossier.report, dossier.part("run")
    claimed = [show(run.get(name), 120) for name in ("provider", "repository", "workflow", "ref", "sha")]
    lasted = dossier.story.ended_ns - dossier.story.started_ns
    pairs: list[tuple[str, Content]] = [
        ("Run", code(report.run_id)),
        ("Agent", code(show(dossier.story.actor or run.get("agent_identity")))),
        ("Commands", f"{dossier.story.commands:,}" if dossier.story.commands else None),
        ("First receipt", render_moment(report.started_at)),
        (
            "Last receipt",
            f"{render_moment(report.ended_at)}, {render_seconds(lasted)} later" if report.ended_at else None,
        ),
        (
            "Ended by",
            code(report.close_reason) if report.close_reason else "nothing: there is no close receipt",
        ),
        ("Receipts", f"{report.receipt_count:,}"),
        ("Signed by", code(report.signer_key)),
        *_list_keys(dossier),
        ("Fingerprint", code(_fingerprint(report.signer_key))),
        ("Head", code(report.head)),
    ]
    machine: list[tuple[str, Content]] = [
        ("Where", ", ".join(filter(None, claimed))),
        *_list_details(dossier.run),
    ]
    return render_section(
        "record",
        "Record",
        "the chain of receipts, and who signed it",
        render_pairs(pairs),
        [tag("h3", "As the machine says, and no receipt"), render_pairs(machine)]
        if any(value for _, value in machine)
        else None,
    )


def _list_keys(dossier: Dossier) -> Iterator[tuple[str, Content]]:
    """Keys that signed later; whether the one before endorsed each, the verifier says."""
    for change in dossier.story.rotations[:KEYS_SHOWN]:
        endorsement = change.facts.get(ROTATION_FACT)
        key = show(endorsement.get("new_signer_key"), 64) if isinstance(endorsement, dict) else ""
        if change.taken and key:
            yield f"From {render_seconds(change.at_ns - dossier.story.started_ns)} on", code(key)
    if len(dossier.story.rotations) > KEYS_SHOWN:
        yield "Later", f"{len(dossier.story.rotations) - KEYS_SHOWN} more"


def _list_details(run: Members) -> Iterator[tuple[str, Content]]:
    """Of run.json: what was run, with what, and the names of what it saw of the environment."""
    command, versions, names = run.get("command"), run.get("versions"), run.get("environment")
    if isinstance(command, dict):
        arguments, digest = command.get("arguments"), show(command.get("sha256"), 64)
        count = (
            f" and {count_of(arguments, 'argument')}"
            if type(arguments) is int and 0 <= arguments < 1 << 32
            else ""
        )
        yield "Command", [code(show(command.get("program"), 120)), count]
        yield "Its SHA-256", code(digest) if digest else None
    if isinstance(versions, dict):
        told = (
            f"{show(name, 40)} {show(value, 60)}" for name, value in sorted(versions.items())[:VERSIONS_SHOWN]
        )
        yield "Versions", ", ".join(told)
    if isinstance(names, list):
        shown = [show(name, 60) for name in names[:NAMES_SHOWN] if isinstance(name, str)]
        more = f" … and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        yield "Names of its environment", tag("span", f"{', '.join(shown)}{more}", class_="small")


def _fingerprint(key: str) -> str:
    try:
        raw = bytes.fromhex(key)
    except ValueError:
        return ""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}" if len(raw) == 32 else ""
