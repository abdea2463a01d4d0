/**
 * Messages that stay at the top of the page until the user dismisses them.
 *
 * @module
 */

import { signal } from "@preact/signals";

interface Notice {
  readonly number: number;
  readonly text: string;
}

/** The most messages that are kept: the latest ones. */
const maxNotices = 20;

const notices = signal<readonly Notice[]>([]);
let counted = 0;

/** Adds a message. */
export function notify(text: string): void {
  notices.value = [...notices.value, { number: ++counted, text }].slice(-maxNotices);
}

/** The messages. */
export function Notices() {
  return (
    <div class="notices" role="alert">
      {notices.value.map(({ number, text }) => (
        <p key={number}>
          {text}
          <button
            type="button"
            onClick={() => notices.value = notices.value.filter((notice) => notice.number !== number)}
          >
            Dismiss<span class="hidden">{`: ${text}`}</span>
          </button>
        </p>
      ))}
    </div>
  );
}
