/**
 * Writes metrics in Prometheus' text exposition format, version 0.0.4. Pure.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
 * @module
 */

import type { Family, Sample } from "./counters.ts";

/** Returns the text of all families, each with its HELP and TYPE lines. Every line ends with a line feed. */
export function textFormat(families: Iterable<Family>): string {
  let text = "";
  for (const { name, metric: { type, help }, samples } of families) {
    text += `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
    for (const sample of samples) text += `${name}${sample.suffix}${labelsText(sample)} ${valueText(sample.value)}\n`;
  }
  return text;
}

function labelsText({ labels }: Sample): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabelValue(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/** Help texts quote backslash and line feed; label values the double quote as well. */
function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabelValue(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}

/** Numbers are read by Go's ParseFloat. */
function valueText(value: number): string {
  return String(value).replace("Infinity", "Inf").replace(/^Inf/, "+Inf");
}
