/**
 * Times in the time zone of the reader.
 *
 * @module
 */

/** Returns the time of day, `20:07:49`. `wall_ms` counts from the epoch. */
export function clockTime(wall_ms: number): string {
  return localTime(wall_ms).slice(11, 19);
}

/** Returns the date, `2026-11-28`. */
export function calendarDate(wall_ms: number): string {
  return localTime(wall_ms).slice(0, 10);
}

/** Returns date and time as in ISO 8601, but in the time zone of the reader. */
function localTime(wall_ms: number): string {
  const ahead_ms = -60_000 * new Date(wall_ms).getTimezoneOffset();
  return new Date(wall_ms + ahead_ms).toISOString();
}
