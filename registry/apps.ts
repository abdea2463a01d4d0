/**
 * Apps and their history: which names they may have, and which versions are kept. Pure.
 *
 * @module
 */

import { quote } from "../systemd/unit_name.ts";
import type { AppName, AppVersion, Rollout, RolloutStep, UnitDelta } from "./model.ts";

/** The largest number of versions that an app keeps. */
export const maxAppVersions = 10;

/** The largest size of all versions of an app in the store, in characters of JSON. A value of etcd has up to 1.5 MiB. */
export const maxHistory_characters = 512 * 1024;

/** True if a text may be the name of an app. */
export function isAppName(text: string): text is AppName {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(text);
}

/** Returns why a text cannot be the name of an app; undefined if it can. */
export function validateAppName(text: string): string | undefined {
  if (isAppName(text)) return undefined;
  return `invalid app name ${quote(text)}: expect a letter or a digit, then up to 63 letters, digits, "-", "_" and "."`;
}

/**
 * Returns the versions of an app after a roll-out has ended; the same ones if it left no unit changed. The oldest ones are
 * left out beyond {@link maxAppVersions} and {@link maxHistory_characters}.
 */
export function withAppVersion(versions: readonly AppVersion[], rollout: Rollout): readonly AppVersion[] {
  const units = rollout.steps.filter(isInForce)
    .map(({ unit, before, after }) => ({ unit, ...before && { before }, ...after && { after } }));
  if (units.length === 0) return versions;
  const { what, changed } = rollout;
  const number = (versions.at(-1)?.number ?? 0) + 1;
  const all = [...versions, { number, what, ...changed && { changed }, units }].slice(-maxAppVersions);
  while (all.length > 1 && JSON.stringify(all).length > maxHistory_characters) all.shift();
  return all;
}

/** True if a step has changed its unit, on some machines at least, and has not been taken back. */
export function isInForce(step: RolloutStep): boolean {
  return ["changing", "healthy", "failed", "staging", "unstaging"].includes(step.state) && !isUnchanged(step);
}

/** True if a step leaves the unit as it is, except that the unit belongs to the app afterwards. */
export function isUnchanged({ before, after }: UnitDelta): boolean {
  return before?.hash === after?.hash && before?.desiredState === after?.desiredState;
}
