"""Jobs of a shell: pipelines of many programs, and sqlite3 with several writers."""

from __future__ import annotations

import pytest
from tests.programs.jobs import run_job, run_outside
from tests.runs.launch import Place

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

PIPELINE = r"""
mkdir -p tree/{a,b,c}/{1,2,3}; for d in tree/*/*; do seq 2000 >"$d/numbers"; done
find tree -name numbers -print0 | sort -z | xargs -0 -n1 -P4 sh -c 'gzip -9 <"$0" | gunzip | tac | sort -n | cksum'
tar -cf - --sort=name --owner=0 --group=0 --mtime=@0 tree | sha256sum
mkfifo pipe; seq 100000 >pipe & awk '{ sum += $1 } END { print sum }' pipe; wait
paste <(seq 3) <(seq 3 | tac) | while read -r a b; do echo "$((a * b))"; done
coproc cat; echo through a coprocess >&"${COPROC[1]}"; read -r line <&"${COPROC[0]}"; echo "$line"
sort --parallel=2 -S 1M -T /tmp -r <(seq 200000) | head -n 3 || true
flock pipe.lock sh -c 'echo locked'; timeout 0.1 sleep 600 || echo $?
sed -n 's/^2/x/p' <<<$'1\n2\n3'; echo end | tee >(cat >copy) >/dev/null
until [ -s copy ]; do sleep 0.01; done; rm -r tree pipe pipe.lock copy
"""


def test_a_pipeline_says_what_it_says_outside(place: Place) -> None:
    script = f"set +o pipefail\n{PIPELINE}"
    outside = run_outside(place, script)
    ended = run_job(place, script)
    assert (ended.code, ended.text) == (0, outside), ended.err
    assert len(outside.splitlines()) == 21
    assert ended.receipts == []
    assert ended.verify() == 0


DATABASE = """
sqlite3 data.sqlite 'pragma journal_mode=wal; create table t (worker int, number int)'
for worker in 1 2 3; do
  seq -f ".timeout 60000
insert into t values ($worker, %g);" 40 | sqlite3 data.sqlite &
done
wait
sqlite3 data.sqlite 'select worker, count(*), sum(number) from t group by worker; pragma integrity_check'
"""


def test_sqlite_takes_several_writers(place: Place) -> None:
    ended = run_job(place, DATABASE)
    assert (ended.code, ended.text.split()) == (0, ["wal", "1|40|820", "2|40|820", "3|40|820", "ok"]), (
        ended.err
    )
    assert ended.receipts == []
    assert ended.verify() == 0
