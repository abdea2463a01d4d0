/**
 * The differences of two unit files.
 *
 * @module
 */

import { structuredPatch } from "diff";

/** The lines that differ between two texts, with a few around them. */
export function Diff({ before, after, label }: {
  readonly before: string;
  readonly after: string;
  readonly label: string;
}) {
  const { hunks } = structuredPatch("", "", before, after);
  if (hunks.length === 0) return <p class="empty">The files are equal.</p>;
  return (
    <pre class="diff" role="group" tabIndex={0} aria-label={label}>
      {hunks.flatMap(({ lines }) => lines).map((line, index) => (
        <span key={index} class={line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : ""}>{line + "\n"}</span>
      ))}
    </pre>
  );
}
