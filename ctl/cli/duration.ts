/**
 * Durations as people write them. Pure.
 *
 * @module
 */

const units_s: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, min: 60, h: 3600, d: 86_400 };

/** Returns a duration in seconds: `2.5` is one, and `500ms`, `30s`, `5m` and `1h30m`. Undefined for any other text. */
export function parseDuration_s(text: string): number | undefined {
  if (/^\+?(\d+\.?\d*|\.\d+)$/.test(text)) return Number(text);
  if (!/^(\d+(\.\d+)?(ms|s|min|m|h|d))+$/.test(text)) return undefined;
  const parts = text.matchAll(/(\d+(?:\.\d+)?)(ms|s|min|m|h|d)/g);
  return [...parts].reduce((sum, [, count, unit]) => sum + Number(count) * units_s[unit!]!, 0);
}
