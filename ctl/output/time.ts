/**
 * Times in the time zone of the reader.
 *
 * @module
 */

/** Returns the time of day, `20:07:49`. `wall_ms` counts from the epoch. */
export function clockTime(wall_ms: number): string {
  const time = new Date(wall_ms);
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** Returns the date, `2026-11-28`. */
export function calendarDate(wall_ms: number): string {
  const day = new Date(wall_ms);
  return [day.getFullYear(), day.getMonth() + 1, day.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}
