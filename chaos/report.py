"""What came of the runs, as a table of docs/reliability.md has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chaos.points import POINTS
from chaos.run import Report

SHOWN = 40  # violations of a run


def told(reports: Sequence[Report]) -> str:
    lines = [_row("", [f"{r.plan.database}, seed {r.plan.seed}" for r in reports])]
    lines.append("|---" * (len(reports) + 1) + "|")
    lines += [_row(name, [str(of(report)) for report in reports]) for name, of in ROWS.items()]
    lines += [
        f"VIOLATION {report.plan.database} {one}" for report in reports for one in report.violations[:SHOWN]
    ]
    broken = sum(len(report.violations) for report in reports)
    return "\n".join([*lines, f"{broken} violations" if broken else "the promise held"])


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {' | '.join([name, *cells])} |"


def _worst(several: Sequence[float]) -> str:
    return f"{max(several):.1f} s" if several else "none"


def _killed_at(point: str) -> Callable[[Report], object]:
    return lambda report: report.kills[point]


def _fault(name: str) -> Callable[[Report], object]:
    return lambda report: report.faults[name]


ROWS: dict[str, Callable[[Report], object]] = {
    "seconds of faults": lambda r: round(r.plan.seconds),
    "ms added to each commit": lambda r: r.plan.commit_ms or "none",
    "events accepted": lambda r: r.accepted,
    "requests made again by the callers": lambda r: r.asked_again,
    "calls that the upstream saw": lambda r: r.calls,
    "**processes killed by SIGKILL**": lambda r: r.kills.total(),
    "web, from outside": _killed_at("outside: web"),
    "worker, from outside": _killed_at("outside: worker"),
    **{point: _killed_at(point) for point in POINTS},
    "workers ended by SIGTERM": _fault("end_worker"),
    "webs ended by SIGTERM": _fault("end_web"),
    "workers stopped for over 20 s": lambda r: r.stops,
    "databases restarted": lambda r: len(r.recoveries) + (r.faults["kill_everything"] if r.recoveries else 0),
    "all connections ended": _fault("end_connections"),
    "disk full": _fault("fill_disk"),
    "transactions or locks held": _fault("hold_writer"),
    "**lost**": lambda r: len(r.verdict.lost),
    "**first arrivals out of order**": lambda r: len(r.verdict.order),
    "last states that differ": lambda r: len(r.verdict.states),
    "not ended": lambda r: len(r.verdict.left),
    "ended as": lambda r: ", ".join(f"{n} {state}" for state, n in sorted(r.verdict.counts.items())),
    "marked `was_uncertain`": lambda r: r.verdict.uncertain,
    "calls taken over from killed workers; in flight at their kills": lambda r: (
        f"{r.verdict.taken_over}; {r.in_flight}"
    ),
    "arrived again, all marked": lambda r: r.verdict.repeated,
    "arrived again unmarked": lambda r: len(r.verdict.repeats),
    "arrived again after a later one (a worker of its line had slept)": lambda r: r.verdict.repeated_late,
    "the same where no worker was stopped": lambda r: len(r.verdict.late),
    "work of a killed worker taken over, worst": lambda r: _worst(r.verdict.take_overs),
    "full rate of accepting after a restart, worst": lambda r: _worst([o.taken for o in r.recoveries]),
    "full rate of delivering after a restart, worst": lambda r: _worst([o.delivered for o in r.recoveries]),
    "all had ended after the last fault": lambda r: f"{r.drained_in:.1f} s",
}
