"""Bars as SVG: one pair or triple for each row of a kind."""

from html import escape

from .core import KAMAILIO, OURS, OURS_IPSEC, OURS_MEMORY, OURS_PROCESSES

COLOURS = {KAMAILIO: "#8a8f98", OURS: "#1565c0", OURS_PROCESSES: "#5e92c9", OURS_MEMORY: "#90caf9",
           OURS_IPSEC: "#2e7d32"}
NAMES = {KAMAILIO: "Kamailio", OURS: "Carillon, one process", OURS_PROCESSES: "Carillon, three processes",
         OURS_MEMORY: "one process, store off", OURS_IPSEC: "one process, IPsec on"}
LEFT, BAR, GAP, WIDTH = 250, 16, 14, 420


def bars(title, unit, rows, colours=COLOURS, names=NAMES):
    """`rows` are (label, {contender: (median, lowest, highest)}); the whisker is the spread."""
    largest = max((high for _, values in rows for _, _, high in values.values()), default=0) or 1
    y, body = 56, []
    for label, values in rows:
        middle = y + BAR * len(values) / 2 + 4
        body.append(text(LEFT - 8, middle, label, "end"))
        for contender, (median, low, high) in values.items():
            at = lambda value: LEFT + WIDTH * value / largest
            body.append(f'<rect x="{LEFT}" y="{y}" width="{at(median) - LEFT:.1f}" height="{BAR - 2}" '
                        f'fill="{colours[contender]}"/>')
            body.append(f'<path d="M{at(low):.1f} {y + BAR / 2 - 1}H{at(high):.1f}" stroke="#222"/>')
            body.append(text(at(high) + 6, y + BAR - 4, f"{median:,.0f}" if median >= 100 else f"{median:.3g}"))
            y += BAR
        y += GAP
    legend, x = [], LEFT
    for name in colours:
        if any(name in values for _, values in rows):
            legend.append(f'<rect x="{x}" y="32" width="10" height="10" fill="{colours[name]}"/>')
            legend.append(text(x + 14, 41, names[name]))
            x += 30 + 7 * len(names[name])
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 80}" height="{y}" font-family="sans-serif" '
        f'font-size="12" role="img" aria-label="{escape(title)}">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="8" y="20" font-size="15">{escape(title)} ({escape(unit)})</text>', *legend, *body, "</svg>", ""])


def text(x, y, what, anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(what)}</text>'


def draw(table_rows, folder):
    """Writes a chart for each kind of row that there is; the names of the files."""
    kinds = [
        ("versus-rate.svg", "Highest rate held", "1/s", lambda what: what.endswith("highest rate held")),
        ("versus-cpu.svg", "Processor time of P+I+S for 1,000", "s", lambda what: what.endswith("CPU of P+I+S")),
        ("versus-p99.svg", "99th percentile of latency", "ms", lambda what: what.endswith("p99")),
        ("versus-memory.svg", "Memory per registered UE", "KB", lambda what: what.startswith("memory")),
    ]
    written = []
    for name, title, unit, belongs in kinds:
        chosen = [(what.split(": ")[0], values) for what, _, values, _ in table_rows if belongs(what)]
        if chosen:
            (folder / name).write_text(bars(title, unit, chosen))
            written.append((name, title))
    return written
