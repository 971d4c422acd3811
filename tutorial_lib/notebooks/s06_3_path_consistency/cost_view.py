"""The table of what each method costs (§5, §6)."""

from collections.abc import Mapping

from .cost_study import DRAWN, Cost


def table(costs: Mapping[str, Cost], said: Mapping[str, tuple[str, str]]) -> str:
    """One line a method. said: whose paths it learns from, and the direction of its KL, which nothing here measures."""
    lines = [
        f"{'':23}   really applied   training                      {DRAWN} samples",
        f"{'':23} regret     α     r²  queries seconds MiB kept     queries     ms  gradient? paths    KL",
    ]
    for name, cost in costs.items():
        kept = ", ".join(f"{size / 2**20:.1f}" for size in cost.kept)
        tilt = f"{cost.tilt[0]:5.2f}  {cost.tilt[1]:5.1%}" if cost.tilt else "    –      –"
        training = f"{cost.queries:7,} {cost.seconds:7.1f}" if cost.queries else "   none    none"
        drawing = f"{cost.asked:7,} {1000 * cost.drawing:6.0f}"
        gradient = "yes" if cost.gradient else "no"
        paths, kl = said[name]
        lines.append(
            f"{name:23} {cost.regret:6.1%} {tilt} {training}  {kept:11} {drawing}  {gradient:9} {paths:8} {kl}"
        )
    return "\n".join(lines)
