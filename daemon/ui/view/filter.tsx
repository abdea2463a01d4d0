/**
 * The form above a list: words that the rows contain, and one choice.
 *
 * @module
 */

import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";

/** A filter. `label` and `choices`: those of the choice; `count`: how many rows match, such as `3 of 5`. */
export const Filter = ({ words, placeholder, label, choice, choices, count, children }: {
  readonly words: Signal<string>;
  readonly placeholder?: string;
  readonly label: string;
  readonly choice: Signal<string>;
  readonly choices: readonly string[];
  readonly count: string;
  /** Other fields. */
  readonly children?: ComponentChildren;
}) => (
  <form class="filter" role="search" onSubmit={(event) => event.preventDefault()}>
    <label for="words">Filter</label>
    <input
      id="words"
      type="search"
      placeholder={placeholder}
      value={words.value}
      onInput={(event) => words.value = event.currentTarget.value}
    />
    <label for="choice">{label}</label>
    <select id="choice" value={choice.value} onChange={(event) => choice.value = event.currentTarget.value}>
      <option value="">any</option>
      {choices.map((each) => <option key={each}>{each}</option>)}
    </select>
    {children}
    <span class="note" role="status">{count}</span>
  </form>
);

/** True if a text contains every word of a filter, in any case. */
export function containsWords(text: string, { value }: Signal<string>): boolean {
  const lower = text.toLowerCase();
  return value.toLowerCase().split(/\s+/).every((word) => lower.includes(word));
}
