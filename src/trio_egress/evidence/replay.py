"""The reading side of a chain: fed stored lines in order, it finds everything that does not hold together.

Trusts nothing that it is fed, keeps a bounded state, and never raises for any bytes. It does not know whether
the log is *the* log: an older or shorter one that is sound in itself is told from it by pins (verify) alone.

Rule 1: each check stands by itself, so that one fault is told as one finding where that is possible.
Rule 2: what comes after an unreadable line is linked to nothing, and the next line starts afresh.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping

from trio_egress.evidence.balance import Balance, Books
from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.facts import EXT_NAME
from trio_egress.evidence.findings import NOT_TRUSTED, Findings
from trio_egress.evidence.line import Line, read_line
from trio_egress.evidence.members import Misfit, describe
from trio_egress.evidence.pairing import Pairing
from trio_egress.evidence.receipt import parse_timestamp
from trio_egress.evidence.receipt_form import SESSION_TRANSPORT
from trio_egress.evidence.rotation import Segments, Tail
from trio_egress.evidence.session import (
    KEY_TRANSPORT,
    NEXT_STATE,
    OBSERVING,
    POLICY_TRANSPORT,
    SessionState,
    Step,
    render_genesis_hash,
)
from trio_egress.evidence.sign import is_signed
from trio_egress.evidence.tally import Tally

_PAYLOADS = {Step.OPEN: "open", Step.HEARTBEAT: "heartbeat", Step.CLOSE: "close"}
POLICY_HASH = re.compile(r"sha256:[0-9a-f]{64}")
CHANGES_MAX = 4_000
"""Of the policy in one run; each is kept, to be held against the packet."""

CHANGE_FACTS = ("policy_to", "policy_sha256", "policy_includes_sha256")
_CHANGE_CHARS = 80

LINE_START = b'{"version":1,"action_record":{"version":1,"action_id":"'
"""How every stored receipt starts."""

RECOVERED = "recovered"
"""Close reason of a note that another log was abandoned."""

NEVER_STOOD = ("refused", "interrupted", RECOVERED)
"""Close reasons of a session whose sandbox was perhaps never there, so that nothing was counted either."""

_NOTHING: Mapping[str, object] = {}
_WHOSE = ("session_id", "principal", "actor")

Judge = Callable[[Line], "tuple[str, str] | None"]
"""What a receipt says and what the policy says, where they differ."""


class Replay:
    """One pass over one evidence file.

    `keys` are the pinned public keys; none pinned means that none is. `judge` is asked what each receipt should have
    said, by whoever knows a policy.
    """

    def __init__(
        self,
        findings: Findings,
        file: str,
        keys: Container[str] | None = None,
        judge: Judge | None = None,
    ) -> None:
        self.findings = findings
        self.tally = Tally()
        self.pairing = Pairing(findings, file)
        self.books = Books()
        self.balance: Balance | None = None
        self.state = SessionState.NEW
        self.opening: Mapping[str, object] = _NOTHING
        self.closing: Mapping[str, object] = _NOTHING
        self.open_facts: Mapping[str, object] = _NOTHING
        self.close_facts: Mapping[str, object] = _NOTHING
        self.actor = ""
        self._whose: tuple[object, ...] = ()
        self.signer_key = ""
        """The key of the first receipt: the one to pin."""

        self.segments = Segments()
        self.lines = 0
        self.head = ""
        self.final_seq = -1
        self.started_at = ""
        self.ended_at = ""
        self._file = file
        self._keys = keys
        self._judge = judge
        self._last_ns = 0
        self._beats = 0
        self._readable = True
        self._counted = True
        self.skipped = False
        self.torn = False
        self.changes: list[Mapping[str, object]] = []
        self.observed = False

    def feed(self, raw: bytes) -> None:
        """The next line, without its LF."""
        line = read_line(raw)
        if isinstance(line, Line):
            self.take(line, is_signed(bytes.fromhex(line.signer_key), line.digest, line.signature))
        else:
            self.take_misfits(line)

    def take_misfits(self, misfits: Iterable[Misfit]) -> None:
        """The next line, which is no receipt."""
        self.lines += 1
        self.findings.add_misfits(misfits, self._file, self.lines)
        self.final_seq += 1
        self._readable = self._counted = False

    def take(self, line: Line, signed: bool) -> None:
        """The next line, and whether it is signed by the key that it names."""
        self.lines += 1
        if line.misfits:
            self.findings.add_misfits(line.misfits, self._file, self.lines)
        self._check_signature(line, signed)
        self._check_link(line)
        self._check_time(line)
        if not line.misfits:
            self._check_session(line)
            self._count(line)
        else:
            self._counted = False
        self.head = line.hash
        self._readable = True
        if self._judge is not None:
            self._check_decision(self._judge(line))

    def feed_torn(self, raw: bytes) -> None:
        """What stands after the last LF: the start of a line that a crash cut off, or a fault."""
        self.lines += 1
        self.torn = True
        if self.state is SessionState.CLOSED:
            self._find("session.order", f"{len(raw)} bytes after the close receipt", self._allowed())
        elif not raw.isascii():
            self._find("line.encoding", "bytes that are not ASCII", "the start of a receipt")
        elif not LINE_START.startswith(raw[: len(LINE_START)]):
            self._find("line.form", "a torn line", "the start of a receipt")

    def skip_to(self, lines: int, final_seq: int, head: str) -> None:
        """So many lines have passed, the last with this number and hash; others follow their links (quick.py)."""
        self.lines, self.final_seq, self.head = lines, final_seq, head
        self._readable, self._counted, self.skipped = bool(head), False, True

    def find_break(self, line: int, found: str, expected: str, seq: int) -> None:
        """One of the lines that were passed does not name the one before it, or not its own number."""
        expected = f"{expected or 'the line before, unread'}, as number {seq}"
        self.findings.add(
            "chain.link", self._file, line, describe(found), expected, "action_record.chain_prev_hash"
        )

    def take_overlong(self) -> None:
        """The next line, which was not read because it is too long."""
        self.lines += 1
        self.final_seq += 1
        self._readable = self._counted = False
        self._find("line.length", f"{LINE_BYTES} bytes or more", f"less than {LINE_BYTES} bytes")

    def _find(self, code: str, found: str, expected: str, place: str = "") -> None:
        self.findings.add(code, self._file, self.lines, found, expected, place)

    def _expect(self, code: str, place: str, found: object, expected: object) -> None:
        if found != expected or type(found) is not type(expected):
            self._find(code, describe(found), describe(expected), place)

    # by itself

    def _check_signature(self, line: Line, signed: bool) -> None:
        if not self.signer_key:
            self.signer_key = line.signer_key
            self.segments.begin(line.signer_key, self.lines)
            if self._keys is not None and line.signer_key not in self._keys:
                self._find(NOT_TRUSTED, line.signer_key, "a pinned key", "signer_key")
        elif "key_transition" in line.record:
            self._rotate(line)
        if line.signer_key != self.segments.current_key:
            self._find("signature.key", line.signer_key, self.segments.current_key, "signer_key")
        elif not signed:
            self._find(
                "signature.wrong", "a signature that does not verify", "one by signer_key", "signature"
            )

    def _rotate(self, line: Line) -> None:
        """Believe in a new key, for what follows, if the one in force endorsed it for just this place."""
        place = "action_record.key_transition"
        if line.record.get("transport") != KEY_TRANSPORT or self.state is not SessionState.OPEN:
            self._find("chain.rotation", f"one in a chain that is {self.state.value}", "none here", place)
            return
        run = str(self.opening.get("recorder_session"))
        tail = Tail(run, self.segments.current_key, self.final_seq, self.head)
        if fault := self.segments.rotate(tail, line.record, _facts(line), line.signer_key, self.lines):
            self._find("chain.rotation", fault, "what the key before endorsed", place)
        else:
            self.final_seq = -1

    def _check_time(self, line: Line) -> None:
        text = line.record.get("timestamp")
        if not isinstance(text, str):
            return
        now_ns = parse_timestamp(text)
        if now_ns is None:
            form = "RFC 3339 in UTC with Z, up to 9 fraction digits, no trailing zeros"
            self._find("time.form", describe(text), form, "action_record.timestamp")
            return
        if now_ns < self._last_ns:
            self._find("time.order", text, f"{self.ended_at} or later", "action_record.timestamp")
            return
        self._last_ns = now_ns
        self.ended_at = text
        self.started_at = self.started_at or text

    def _check_decision(self, difference: tuple[str, str] | None) -> None:
        if difference is not None:
            self._find("decide.differs", *difference)

    # against the line before

    def _check_link(self, line: Line) -> None:
        record = line.record
        seq, self.final_seq = self.final_seq + 1, self.final_seq + 1
        if (number := record.get("chain_seq")) != seq or type(number) is not int:
            self._expect("chain.seq", "action_record.chain_seq", number, seq)
        before = record.get("chain_prev_hash")
        if before != self.head and self.lines > 1 and self._readable:
            self._expect("chain.link", "action_record.chain_prev_hash", before, self.head)
        if "key_transition" in record and self.lines == 1:
            self._find("chain.rotation", "key_transition", "a log that begins here", "action_record")

    # within the session

    def _check_session(self, line: Line) -> None:
        record = line.record
        control = record.get("session_control", _NOTHING)
        if not control and self.state is SessionState.OPEN and record["transport"] != SESSION_TRANSPORT:
            self._check_run(record)
            return
        assert isinstance(control, Mapping)
        step = Step(control["kind"]) if control else Step.ACTION
        named = _PAYLOADS.get(step)
        if control and list(control) != ["kind", named]:
            self._find(
                "session.member", ", ".join(control), f"kind, {named}", "action_record.session_control"
            )
            return
        if (record["transport"] == SESSION_TRANSPORT) != bool(control):
            expected = f"{SESSION_TRANSPORT} with session_control, and only then"
            self._find("session.member", describe(record["transport"]), expected, "action_record.transport")
        state = NEXT_STATE.get((self.state, step))
        if state is None:
            self._find(
                "session.order", f"{step.value} in a chain that is {self.state.value}", self._allowed()
            )
        else:
            self.state = state
        if control:
            self._expect("session.member", "action_record.verdict", record["verdict"], "allow")
        payload = control.get(named, _NOTHING) if named else _NOTHING
        match step:
            case Step.OPEN if state is not None:
                self._check_open(line, payload)
            case Step.HEARTBEAT:
                self._check_heartbeat(payload)
            case Step.CLOSE if state is not None:
                self._check_close(line, payload)
        self._check_run(record)

    def _allowed(self) -> str:
        steps = [step.value for state, step in NEXT_STATE if state is self.state]
        return "one of " + " ".join(steps) if steps else "the end of the file"

    def _check_run(self, record: Mapping[str, object]) -> None:
        opening = self.opening
        if not opening:
            return
        nonce, policy = record.get("run_nonce"), record["policy_hash"]
        if nonce != opening["run_nonce"]:
            self._expect("session.nonce", "action_record.run_nonce", nonce, opening["run_nonce"])
        if policy != self._policy_in_force() and not self.skipped:
            self._expect("session.policy", "action_record.policy_hash", policy, self._policy_in_force())
        if (record.get("session_id"), record["principal"], record["actor"]) != self._whose:
            for name, expected in zip(_WHOSE, self._whose, strict=True):
                self._expect("session.member", f"action_record.{name}", record.get(name), expected)

    def _policy_in_force(self) -> object:
        return self.changes[-1]["policy_to"] if self.changes else self.opening["policy_hash"]

    def _take_policy(self, record: Mapping[str, object], facts: Mapping[str, object]) -> None:
        """A receipt that puts another policy in force, for all that follow."""
        if record["transport"] != POLICY_TRANSPORT or record["verdict"] != "allow" or not self.opening:
            return
        self._expect("session.policy", "policy_from", facts.get("policy_from"), self._policy_in_force())
        to = facts.get("policy_to")
        if not isinstance(to, str) or POLICY_HASH.fullmatch(to) is None:
            self._find("session.policy", describe(to), "sha256: and 64 lower-case hex digits", "policy_to")
            return
        if len(self.changes) == CHANGES_MAX:
            self._find("session.policy", "another change", f"at most {CHANGES_MAX} changes of the policy")
            return
        # Only what is asked of it later, and no text as long as a line: ten thousand are kept.
        texts = {name: text for name in CHANGE_FACTS if isinstance(text := facts.get(name), str)}
        self.changes.append({name: text[:_CHANGE_CHARS] for name, text in texts.items()})

    def _check_open(self, line: Line, opening: Mapping[str, object]) -> None:
        record = line.record
        self.opening = opening
        self.open_facts = _facts(line)
        self.observed = self.observed or self.open_facts.get("mode") is not None
        self.actor = str(record["actor"])
        self._whose = tuple(record.get(name) for name in _WHOSE)
        if record.get("session_id") not in (None, run := opening["recorder_session"]):
            self._expect("session.member", "action_record.session_id", record["session_id"], run)
        genesis = render_genesis_hash(opening)
        self._expect("chain.genesis", "open.genesis_hash", opening["genesis_hash"], genesis)
        self._expect("chain.genesis", "action_record.chain_prev_hash", record["chain_prev_hash"], genesis)
        self._expect("session.member", "open.chain_open_seq", opening["chain_open_seq"], 0)
        for name in ("prior_chain_head", "prior_chain_seq"):
            if name in opening:
                self._find("chain.rotation", name, "a chain that begins here", f"open.{name}")

    def _check_heartbeat(self, beat: Mapping[str, object]) -> None:
        self._beats += 1
        self._expect_payload(
            "heartbeat",
            beat,
            {
                "run_nonce": self.opening.get("run_nonce"),
                "open_nonce": self.opening.get("open_nonce"),
                "beat": beat["beat"] if self.skipped else self._beats,
                "chain_head": self.head if self._readable else beat["chain_head"],
                "chain_seq_head": self.final_seq - 1,
                "heartbeat_time": self.ended_at,
            },
        )

    def _check_close(self, line: Line, closing: Mapping[str, object]) -> None:
        self.closing = closing
        self._expect_payload(
            "close",
            closing,
            {
                "run_nonce": self.opening.get("run_nonce"),
                "open_nonce": self.opening.get("open_nonce"),
                "final_seq": self.final_seq,
                "root_hash": self.head if self._readable else closing["root_hash"],
                "receipt_count": self.final_seq + 1,
            },
        )
        self.close_facts = _facts(line)
        if self.skipped:
            return
        self.pairing.check_sums(self.close_facts, self.lines, self.tally.commands)
        for at in self.pairing.lines_without_outcome():
            self.findings.add("pair.no_outcome", self._file, at, "no outcome", "one before the close receipt")
        if closing["close_reason"] not in NEVER_STOOD or not self.books.is_empty:
            self._check_balance()

    def _check_balance(self) -> None:
        self.balance = self.books.balance(self.close_facts.get("counters"))
        if self.balance.missing:
            missing = ", ".join(self.balance.missing) if self.balance.rows else "any counter"
            self._find("balance.missing", "a close receipt without it", missing, f"ext.{EXT_NAME}.counters")
        for row in self.balance.rows:
            if row.unexplained and self._counted:  # else the line that was not counted is the finding
                self._find(
                    f"balance.{row.counter}",
                    f"{row.recorded} in receipts",
                    f"{row.counted}, as the kernel counted",
                )

    def _expect_payload(
        self, name: str, payload: Mapping[str, object], expected: Mapping[str, object]
    ) -> None:
        for member, value in expected.items():
            self._expect("session.member", f"{name}.{member}", payload[member], value)

    def _count(self, line: Line) -> None:
        facts = _facts(line)
        self.observed = self.observed or line.record.get("layer") == OBSERVING
        self._take_policy(line.record, facts)
        self.tally.feed(line.record, facts)
        if "session_control" not in line.record:
            self.pairing.feed(line.record, facts, self.lines)
            self.books.feed(line.record, facts)


def _facts(line: Line) -> Mapping[str, object]:
    facts = (line.ext or _NOTHING).get(EXT_NAME)
    return facts if type(facts) is dict else _NOTHING
