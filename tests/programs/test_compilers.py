"""Compile jobs: gcc under make, and cargo."""

from __future__ import annotations

import pytest
from tests.programs.jobs import run_job
from tests.runs.launch import AGENT, Place

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

MAKE = r"""
printf '#define STEP 3\n' >step.h
for n in $(seq 24); do
  printf '#include "step.h"\n#include <math.h>\ndouble f%d(double x) { return sqrt(x * x) + STEP; }\n' $n >f$n.c
done
{
  seq -f 'double f%g(double);' 24
  printf '#include <pthread.h>\n#include <stdio.h>\nstatic void *work(void *at) { double *x = at;'
  seq -f '*x = f%g(*x);' 24
  printf 'return 0; }\nint main(void) { pthread_t t; double x = 0; pthread_create(&t, 0, work, &x);'
  printf 'pthread_join(t, 0); printf("%%g\\n", x); return x != 72; }\n'
} >main.c
printf 'job: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\t$(CC) -o $@ $^ -lm -lpthread\n*.o: step.h\n' >Makefile
make -s -j4; ./job; make -q; touch f7.c; make -j4 CFLAGS=-g | grep -c '^cc'
"""


def test_make_compiles_many_files_at_the_same_time(place: Place) -> None:
    ended = run_job(place, MAKE)
    assert (ended.code, ended.text.split()) == (0, ["72", "2"]), ended.err
    assert (place.work / "job").stat().st_uid == AGENT.pw_uid
    assert ended.receipts == []
    assert ended.verify() == 0


CARGO = """
export CARGO_TERM_COLOR=never
cargo init -q --offline --name job --vcs none crate; cd crate
cat >src/lib.rs <<'END'
//! ```
//! assert_eq!(job::total(4), 6);
//! ```
pub fn total(most: u64) -> u64 {
    let threads: Vec<_> = (0..most).map(|n| std::thread::spawn(move || n)).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}
#[test]
fn adds() { assert_eq!(total(3), 3); }
END
echo 'fn main() { println!("{}", job::total(9)); }' >src/main.rs
cargo build -q --offline --release; cargo test -q --offline >tests.log; cargo run -q --offline
grep -c 'test result: ok. 1 passed' tests.log
"""


def test_cargo_builds_tests_and_runs_a_crate(place: Place) -> None:
    ended = run_job(place, CARGO)
    assert (ended.code, ended.text.split()) == (0, ["36", "2"]), ended.err
    assert ended.receipts == []
    assert ended.verify() == 0
