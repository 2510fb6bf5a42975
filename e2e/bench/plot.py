"""Bars of shares, with their spread, as SVG."""

COLOURS = {"pgbouncer": "#8da0cb", "haproxy": "#a6a6a6", "nginx": "#e5b567", "chaperone": "#1b7f5c"}
LEFT, BAR, GAP, WIDTH = 190, 12, 14, 560
TOP = 1.5  # a longer bar is cut, and says how long it is


def draw(shares, title):
    """`shares`: {workload: {way: {"median", "min", "max"}}}. Returns the text of the file."""
    top = min(TOP, max([1.0] + [s["max"] for ways in shares.values() for s in ways.values()]))
    scale = WIDTH / top

    def place(share):
        return LEFT + min(share, top) * scale

    y, body = 54, []
    for workload, ways in shares.items():
        body.append(f'<text x="{LEFT - 8}" y="{y + BAR * len(ways) / 2 + 4}"'
                    f' text-anchor="end">{workload}</text>')
        for way, s in ways.items():
            middle = y + BAR / 2
            body.append(f'<rect x="{LEFT}" y="{y}" width="{place(s["median"]) - LEFT:.1f}" height="{BAR - 2}"'
                        f' fill="{COLOURS.get(way, "#444")}"><title>{way} {s["median"]:.2f}</title></rect>')
            body.append(f'<line x1="{place(s["min"]):.1f}" x2="{place(s["max"]):.1f}"'
                        f' y1="{middle:.1f}" y2="{middle:.1f}" stroke="#222"/>')
            if s["median"] > top:
                body.append(f'<text x="{LEFT + WIDTH + 4}" y="{y + BAR - 2}">{s["median"]:.0f}</text>')
            y += BAR
        y += GAP
    one = LEFT + scale
    legend = "".join(f'<rect x="{LEFT + 120 * i}" y="28" width="10" height="10" fill="{c}"/>'
                     f'<text x="{LEFT + 120 * i + 16}" y="37">{n}</text>'
                     for i, (n, c) in enumerate(COLOURS.items()))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 40}" height="{y + 10}"'
            f' font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
            f'<text x="10" y="18" font-size="14">{title}</text>{legend}'
            f'<line x1="{one:.1f}" x2="{one:.1f}" y1="48" y2="{y}" stroke="#bbb" stroke-dasharray="3"/>'
            + "".join(body) + "</svg>\n")
