/** Draws lines over two logarithmic axes, as SVG for light and dark pages. */

export interface Series {
  name: string;
  /** Pairs of x and y, both above 0, sorted by x. */
  points: [x: number, y: number][];
}

export interface Labels {
  title: string;
  /** The text for screen readers. */
  description: string;
  x: string;
  y: string;
  /** The two lines below the plot. */
  caption: [string, string];
}

const WIDTH = 720;
const HEIGHT = 452;
const PLOT = { left: 64, right: 696, top: 84, bottom: 356 };
/** The shapes that distinguish the series without color. */
const MARKERS = [
  (x: number, y: number) => `<circle cx="${x}" cy="${y}" r="4.5"/>`,
  (x: number, y: number) =>
    `<rect x="${x - 4}" y="${y - 4}" width="8" height="8"/>`,
  (x: number, y: number) => `<path d="M${x - 5} ${y + 4}h10l-5-9z"/>`,
  (x: number, y: number) => `<path d="M${x - 5} ${y}l5-5 5 5-5 5z"/>`,
];

const STYLE = `
text { font: 13px system-ui, sans-serif; fill: #57606a }
.title { font-size: 16px; font-weight: 600; fill: #1f2328 }
.caption { font-size: 11px }
.value { fill: #0550ae; text-anchor: middle }
.grid { stroke: #d0d7de }
.line { fill: none; stroke-width: 2 }
.series0 { stroke: #0969da } .series0 .marker { fill: #0969da }
.series1 { stroke: #bc4c00 } .series1 .marker { fill: #bc4c00 }
.series2 { stroke: #6e7781 } .series2 .marker { fill: #6e7781 }
.series3 { stroke: #8250df } .series3 .marker { fill: #8250df }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1 }
  .title { fill: #f0f6fc }
  .value { fill: #79c0ff }
  .grid { stroke: #3d444d }
  .series0 { stroke: #58a6ff } .series0 .marker { fill: #58a6ff }
  .series1 { stroke: #f0883e } .series1 .marker { fill: #f0883e }
  .series2 { stroke: #9198a1 } .series2 .marker { fill: #9198a1 }
  .series3 { stroke: #a371f7 } .series3 .marker { fill: #a371f7 }
}`;

/** Maps the values between `from` and `to` to pixels, on a logarithmic scale. */
function logScale(
  [from, to]: [number, number],
  [start, end]: [number, number],
): (value: number) => number {
  const factor = (end - start) / Math.log(to / from);
  return (value) =>
    Math.round((start + Math.log(value / from) * factor) * 10) / 10;
}

/** Formats a number like 25.3 M, 190 k or 7. */
export function short(value: number): string {
  const [unit, factor] = value >= 1e6
    ? [" M", 1e6]
    : value >= 1e3
    ? [" k", 1e3]
    : ["", 1];
  return Number((value / factor).toPrecision(value / factor < 10 ? 2 : 3)) +
    unit;
}

/** Returns the SVG. */
export function draw(series: Series[], labels: Labels): string {
  const xs = series.flatMap(({ points }) => points.map(([x]) => x));
  const ys = series.flatMap(({ points }) => points.map(([, y]) => y));
  const decades = [
    Math.floor(Math.log10(Math.min(...ys))),
    Math.ceil(Math.log10(Math.max(...ys))),
  ];
  const x = logScale(
    [Math.min(...xs), Math.max(...xs)],
    [PLOT.left + 24, PLOT.right - 24],
  );
  const y = logScale(
    [10 ** decades[0], 10 ** decades[1]],
    [PLOT.bottom, PLOT.top],
  );

  const parts: string[] = [];
  for (let decade = decades[0]; decade <= decades[1]; decade++) {
    const at = y(10 ** decade);
    parts.push(
      `<path class="grid" d="M${PLOT.left} ${at}H${PLOT.right}"/>`,
      `<text x="${PLOT.left - 8}" y="${at + 4}" text-anchor="end">${
        short(10 ** decade)
      }</text>`,
    );
  }
  for (const value of new Set(xs)) {
    parts.push(
      `<text x="${x(value)}" y="${PLOT.bottom + 20}" text-anchor="middle">${
        value.toLocaleString("en")
      }</text>`,
    );
  }
  let legend = PLOT.left;
  series.forEach(({ name, points }, i) => {
    const pixels = points.map(([px, py]) => [x(px), y(py)]);
    parts.push(
      `<g class="series${i}">`,
      `<path class="line" d="M${pixels.join("L")}M${legend} 56h24"/>`,
      `<g class="marker">${
        [...pixels, [legend + 12, 56]].map(([px, py]) => MARKERS[i](px, py))
          .join("")
      }</g></g>`,
      `<text x="${legend + 32}" y="60">${escape(name)}</text>`,
    );
    legend += 56 + 7 * name.length;
    if (i > 0) return;
    for (const [px, py] of points) {
      parts.push(
        `<text class="value" x="${x(px)}" y="${y(py) - 12}">${
          short(py)
        }</text>`,
      );
    }
  });

  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="title description">
<title id="title">${escape(labels.title)}</title>
<desc id="description">${escape(labels.description)}</desc>
<style>${STYLE}
</style>
<text class="title" x="16" y="28">${escape(labels.title)}</text>
${parts.join("\n")}
<text x="${(PLOT.left + PLOT.right) / 2}" y="${
    PLOT.bottom + 42
  }" text-anchor="middle">${escape(labels.x)}</text>
<text transform="translate(18 ${
    (PLOT.top + PLOT.bottom) / 2
  }) rotate(-90)" text-anchor="middle">${escape(labels.y)}</text>
${
    labels.caption.map((line, i) =>
      `<text class="caption" x="16" y="${HEIGHT - 28 + 14 * i}">${
        escape(line)
      }</text>`
    ).join("\n")
  }
</svg>
`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
