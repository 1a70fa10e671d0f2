"""Asks Prometheus for the expressions of the dashboard and of the alerts; draws the panels. For scripts/dashboard."""

import argparse
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

# Panels for which a short run on one machine has no figures.
MAY_BE_EMPTY = {
    "Credentials": "only tokens, of ECR, expire",
}


def ask(prometheus, path, **parameters):
    """The result of a query; fails with what Prometheus says."""
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        sys.exit(f"dashboard: {parameters.get('query')}: {json.load(error)['error']}")


def panels():
    with open("deployment/monitoring/dashboard.json", encoding="utf-8") as file:
        return [panel for panel in json.load(file)["panels"] if panel["type"] != "row"]


def expression(target, interval):
    return target["expr"].replace("$__rate_interval", interval)


def check(prometheus):
    """Every panel has figures, and every rule was evaluated without an error. Gives the number of failures."""
    failures, expressions = [], 0
    for panel in panels():
        for target in panel["targets"]:
            expressions += 1
            result = ask(prometheus, "query", query=expression(target, "10s"))["result"]
            figures = [sample for sample in result if sample["value"][1] != "NaN"]
            if bool(figures) == (panel["title"] in MAY_BE_EMPTY):
                what = "figures, though it may be empty" if figures else "no figures"
                failures.append(f"{panel['title']}: {what}: {target['expr']}")
    rules = [rule for group in ask(prometheus, "rules")["groups"] for rule in group["rules"]]
    failures += [f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}" for rule in rules if rule["health"] != "ok"]
    print(f"{expressions} expressions of {len(panels())} panels, {len(rules)} alerts")
    for failure in failures:
        print(f"dashboard: {failure}", file=sys.stderr)
    return len(failures)


def legend(target, labels):
    text = target["legendFormat"]
    for name, value in labels.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def scaled(unit, value):
    if unit == "s" and value >= 172800:
        return f"{value / 86400:.0f} days"
    return f"{value:.0f}"


def draw(prometheus, path, seconds):
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.fonttype": "none", "font.size": 7, "axes.titlesize": 8, "svg.hashsalt": "pullgate"})
    end = time.time()
    all_panels = panels()
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in all_panels)
    figure = plt.figure(figsize=(13, rows / 3.2))
    for panel in all_panels:
        place = panel["gridPos"]
        axes = figure.add_axes(
            (
                (place["x"] + 0.9) / 24,
                1 - (place["y"] + place["h"] - 1.4) / rows,
                (place["w"] - 1.4) / 24,
                (place["h"] - 2.6) / rows,
            )
        )
        unit = panel["fieldConfig"]["defaults"]["unit"]
        axes.set_title(panel["title"] + (f" [{unit}]" if panel["type"] == "timeseries" else ""), loc="left")
        lines = []
        for target in panel["targets"]:
            query = expression(target, "10s")
            if panel["type"] == "stat":
                result = ask(prometheus, "query", query=query)["result"]
                text = "\n".join(f"{scaled(unit, float(s['value'][1]))} {legend(target, s['metric'])}" for s in result)
                axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=13, transform=axes.transAxes)
                axes.set_axis_off()
                continue
            result = ask(prometheus, "query_range", query=query, start=end - seconds, end=end, step=2)["result"]
            for series in result:
                points = {round(float(t) - end): float(v) for t, v in series["values"] if v != "NaN"}
                lines.append((legend(target, series["metric"]), points))
        if panel["type"] == "stat":
            continue
        lines = [(name, points) for name, points in lines if any(points.values())]
        if not lines:
            axes.text(0.5, 0.5, "none", ha="center", va="center", color="grey", transform=axes.transAxes)
        times = sorted({t for _, points in lines for t in points})
        if panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal" and lines:
            axes.stackplot(times, [[points.get(t, 0) for t in times] for _, points in lines], labels=[n for n, _ in lines], alpha=0.7)
        else:
            for name, points in lines:
                axes.plot(list(points), list(points.values()), label=name, linewidth=1)
        axes.set_ylim(bottom=0)
        axes.set_xlim(-seconds, 0)
        axes.grid(alpha=0.3)
        if lines:
            axes.legend(loc="upper left", fontsize=6, ncols=2, framealpha=0.6)
    figure.savefig(path, metadata={"Date": None})
    print(f"drawn: {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prometheus", help="its address, http://HOST:PORT")
    parser.add_argument("--draw", metavar="FILE", help="an SVG file to write")
    parser.add_argument("--seconds", type=int, default=60, help="how far back the drawing goes")
    options = parser.parse_args()
    failures = check(options.prometheus)
    if options.draw:
        draw(options.prometheus, options.draw, options.seconds)
    sys.exit(1 if failures else 0)


main()
