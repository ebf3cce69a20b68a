/** Formats rows as a Markdown table. The first row is the header. */
export function formatTable([header, ...rows]: string[][]): string {
  const widths = header.map((_, i) =>
    Math.max(...[header, ...rows].map((row) => row[i].length))
  );
  const rule = widths.map((width) => "-".repeat(width));
  return [header, rule, ...rows].map((row) =>
    `| ${row.map((text, i) => text.padEnd(widths[i])).join(" | ")} |\n`
  ).join("");
}
