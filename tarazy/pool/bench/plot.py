"""The figures of `tarazy bench vardiff`, `schemes` and `drift` as pictures, on their own ground for any page.

Needs pygal: `pip install tarazy[plot]`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pygal
from pygal.style import Style

_WIDTH, _HEIGHT = 900, 380
_SHOWN = (-12, -6, 6, 12)
_COLOURS = ("#c2410c", "#b45309", "#0e7490", "#4338ca")
_SCHEME_COLOURS = ("#c2410c", "#0e7490", "#4338ca", "#15803d", "#57606a")
_WIDE = {"width": 2}
_BANDS = (("p50", {"width": 2.5}), ("p5", {"width": 1, "dasharray": "3,3"}), ("p95", {"width": 1, "dasharray": "3,3"}))
_SCRIPTS = re.compile("<script.*?</script>", re.DOTALL)
_UNITS = ((1e15, "PH/s"), (1e12, "TH/s"), (1e9, "GH/s"))


def vardiff_plot(figures: dict[str, Any]) -> str:
    """An SVG document: the way from a wrong start, what a pause does, and the rate at every size of machine."""
    return _below_one_another(_settling(figures), _pause(figures), _rates(figures))


def schemes_plot(figures: dict[str, Any]) -> str:
    """An SVG document: how much pay varies with the length of a shift, and what a hopper earns."""
    return _below_one_another(_deviations(figures), _hopping(figures))


def drift_plot(figures: dict[str, Any]) -> str:
    """An SVG document: how soon each fraud is told, and how many honest sites are told in a year."""
    return _below_one_another(_frauds(figures), _honest(figures))


def _below_one_another(*charts: str) -> str:
    parts = [
        f'<svg y="{number * _HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}">{chart}</svg>'
        for number, chart in enumerate(charts)
    ]
    size = f'width="{_WIDTH}" height="{_HEIGHT * len(charts)}" viewBox="0 0 {_WIDTH} {_HEIGHT * len(charts)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n' + "\n".join(parts) + "\n</svg>\n"


def _chart(name: str, title: str, x_title: str, y_title: str, colours: tuple[str, ...], **options: Any) -> Any:
    style = Style(
        background="#ffffff",
        plot_background="#ffffff",
        foreground="#24292f",
        foreground_strong="#24292f",
        foreground_subtle="#8c959f",
        guide_stroke_color="#d0d7de",
        major_guide_stroke_color="#d0d7de",
        guide_stroke_dasharray="1,0",
        major_guide_stroke_dasharray="1,0",
        font_family="DejaVu Sans, Verdana, sans-serif",
        title_font_size=17,
        label_font_size=12,
        major_label_font_size=12,
        legend_font_size=13,
        colors=colours,
    )
    chart = pygal.XY(
        style=style,
        js=[],
        title=title,
        x_title=x_title,
        y_title=y_title,
        width=_WIDTH,
        height=_HEIGHT,
        explicit_size=True,
        dots_size=0.1,
        show_dots=False,
        show_y_guides=True,
        legend_at_bottom=True,
        legend_box_size=12,
        margin=12,
        **{"legend_at_bottom_columns": 4, **options},
    )
    chart.uuid = name
    return chart


def _bands(
    chart: Any, name: str, seconds: list[float], steps: dict[str, list[float]], scale: Callable[[float], float]
) -> None:
    for band, stroke in _BANDS:
        points = _corners([(scale(x), y) for x, y in zip(seconds, steps[band], strict=True)])
        chart.add(name if band == "p50" else None, points, stroke_style=stroke)


def _corners(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without the points between two equal ones."""
    return [
        point
        for at, point in enumerate(points)
        if at in (0, len(points) - 1) or not points[at - 1][1] == point[1] == points[at + 1][1]
    ]


def _settling(figures: dict[str, Any]) -> str:
    colours = tuple(colour for colour in _COLOURS for _ in _BANDS)
    title = "From a wrong start: difficulty in force, in steps of two from the ideal one"
    chart = _chart("settling", title, "seconds from the first job (median; dashed: 5 and 95 %)", "steps", colours)
    chart.y_labels = [-12, -9, -6, -3, 0, 3, 6, 9, 12]
    chart.x_labels = list(range(0, 121, 15))
    for part in figures["settling"]:
        if part["offset"] in _SHOWN:
            way = "too hard" if part["offset"] > 0 else "too easy"
            _bands(chart, f"{2 ** abs(part['offset']):,} times {way}", part["seconds"], part["steps"], float)
    return _rendered(chart)


def _pause(figures: dict[str, Any]) -> str:
    pause = figures["pause"]
    begin, end = (minute / 60 for minute in pause["paused"])
    title = f"A pause from minute {begin:g} to {end:g}: steps from the ideal difficulty"
    chart = _chart("pause", title, "minutes", "steps", _COLOURS[3:] * 3, show_legend=False)
    _bands(chart, "pause", pause["seconds"], pause["steps"], lambda seconds: round(seconds / 60, 2))
    return _rendered(chart)


def _rates(figures: dict[str, Any]) -> str:
    goal = 60 / figures["share_interval"]
    title = f"Shares in a minute, over {figures['days']:g} days; the goal is {goal:g}"
    chart = _chart("rates", title, "hash rate", "shares", (_COLOURS[2], _COLOURS[3], _COLOURS[2], "#57606a"))
    rates = figures["rates"]
    sizes = [math.log10(rate["hashrate"]) for rate in rates]
    for place, name in enumerate(("5 % of minutes below", "median", "95 % below")):
        chart.add(name, [(x, rate["minutes"][place]) for x, rate in zip(sizes, rates, strict=True)])
    chart.add("goal", [(sizes[0], goal), (sizes[-1], goal)], stroke_style={"width": 2, "dasharray": "6,4"})
    chart.x_labels = [{"value": x, "label": _hashrate(10.0**x)} for x in sizes if x == round(x)]
    chart.range = (0, None)
    return _rendered(chart)


def _deviations(figures: dict[str, Any]) -> str:
    title = f"How the pay of one shift varies, for 1/{figures['part']} of the pool: deviation, % of fair pay"
    x_title = "blocks expected of the pool during the shift"
    chart = _chart("deviations", title, x_title, "%", _SCHEME_COLOURS, legend_at_bottom_columns=5)
    shifts = figures["shifts"]
    for scheme in shifts[0]["deviation"]:
        if all(each["deviation"][scheme] for each in shifts):
            points = [(math.log10(each["length"]), 2 + math.log10(each["deviation"][scheme])) for each in shifts]
            chart.add(_scheme(scheme), points, stroke_style=_WIDE)
    chart.x_labels = [{"value": math.log10(each["length"]), "label": f"{each['length']:g}"} for each in shifts]
    chart.y_labels = [{"value": math.log10(each), "label": f"{each:,}"} for each in (10, 30, 100, 300, 1_000, 3_000)]
    return _rendered(chart)


def _hopping(figures: dict[str, Any]) -> str:
    title = "What hopping earns, % of what staying earns"
    x_title = "age of the round when the hopper leaves, in network difficulties"
    chart = _chart("hopping", title, x_title, "%", _SCHEME_COLOURS, legend_at_bottom_columns=5)
    hopping = figures["hopping"]
    for scheme in hopping[0]["earns"]:
        chart.add(
            _scheme(scheme), [(each["leaves"], 100 * each["earns"][scheme]) for each in hopping], stroke_style=_WIDE
        )
    chart.x_labels = [0.1, 0.435, 1, 1.5, 2, 3]
    return _rendered(chart)


def _frauds(figures: dict[str, Any]) -> str:
    title = f"What goes past the meter: sites told, %, at {100 * figures['noise']:g} % noise a day and a season of 5 %"
    colours = (*_SCHEME_COLOURS, "#b45309")
    chart = _chart("frauds", title, "days since it began", "%", colours, legend_at_bottom_columns=2)
    for fraud in figures["frauds"]:
        if fraud["season"]:
            points = [(0.0, 0.0), *((float(day), 100.0 * told) for day, told in enumerate(fraud["told_by_day"], 1))]
            chart.add(fraud["what"], _corners(points[:21]), stroke_style=_WIDE)
    chart.x_labels = list(range(0, 21, 2))
    chart.range = (0, 100)
    return _rendered(chart)


def _honest(figures: dict[str, Any]) -> str:
    title = f"Honest sites told by mistake within a year, % of {figures['sites']}"
    chart = _chart(
        "honest",
        title,
        "days (alike: each day half like the one before)",
        "%",
        _SCHEME_COLOURS,
        legend_at_bottom_columns=5,
    )
    for each in figures["honest"]:
        days = [*each["days"], 365]
        steps = [(0.0, 0.0)]
        for count, day in enumerate(days):
            steps += [
                (day, 100 * count / figures["sites"]),
                (day, 100 * min(count + 1, len(days) - 1) / figures["sites"]),
            ]
        name = f"season {100 * each['season']:g} %" + (", alike" if each["alike"] else "")
        chart.add(name, _corners(steps), stroke_style=_WIDE)
    chart.x_labels = [0, 60, 120, 180, 240, 300, 360]
    chart.range = (0, None)
    return _rendered(chart)


def _scheme(name: str) -> str:
    scheme, _, window = name.partition(" ")
    return f"{scheme.upper()}, window {window}" if window else scheme.upper()


def _hashrate(value: float) -> str:
    size, unit = next(part for part in _UNITS if value >= part[0] * 0.999)
    return f"{value / size:g} {unit}"


def _rendered(chart: Any) -> str:
    document: str = chart.render(is_unicode=True, disable_xml_declaration=True)
    return _SCRIPTS.sub("", document)
