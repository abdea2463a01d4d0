/**
 * Draws the diagrams of the docs, which are in the language of Mermaid, as SVG in the colors of the site. Pure.
 *
 * @module
 */

import { renderMermaidSVG } from "beautiful-mermaid";

/** Returns a diagram as SVG for a page. `name` is unique on the page. */
export function drawDiagram(source: string, name: string): string {
  const colors = { bg: "var(--ground)", fg: "var(--text)", muted: "var(--soft)", line: "var(--soft)" };
  const svg = renderMermaidSVG(source, { ...colors, font: "system-ui", padding: 8, transparent: true });
  return svg
    // A reader's browser asks no other host for a font.
    .replace(/^.*@import .*\n/m, "")
    // Two diagrams of a page have arrows of the same name.
    .replaceAll(/ id="([^"]*)"/g, ` id="${name}-$1"`)
    .replaceAll("url(#", `url(#${name}-`)
    .replace("<svg ", `<svg role="img" aria-label="Diagram" `);
}
