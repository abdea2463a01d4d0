/**
 * The [X-Fleet] options of a unit's health check: what the unit's machine runs, and how often. Pure.
 *
 * @module
 */

import { lastValue, type UnitOption } from "../systemd/unit_file.ts";
import { expandSpecifiers, isTemplate, parseUnitName, quote } from "../systemd/unit_name.ts";
import { parseTimeSpan_ms } from "../systemd/unit_time_span.ts";
import { fleetSection } from "./requirements.ts";

/** The action of a check: a GET request on the unit's machine, or a command with its arguments. */
export type HealthProbeTarget =
  | { readonly kind: "http"; readonly url: string }
  | { readonly kind: "command"; readonly argv: readonly string[] };

/** The health check of a unit. */
export interface HealthCheck {
  readonly target: HealthProbeTarget;
  /** A check that takes longer has failed. */
  readonly timeout_ms: number;
  /** Pause between two checks, after the first that has passed. */
  readonly interval_ms: number;
}

/** Types of units that have a process, and so can be checked: services, and Quadlet files of running containers. */
const checkedTypes: readonly string[] = ["service", "container", "kube", "pod"];

const defaults_ms = { HealthTimeout: 5_000, HealthInterval: 10_000 } as const;

/** Bounds of both time spans. */
const [shortest_ms, longest_ms] = [1_000, 3_600_000];

/** Returns the health check of a unit; undefined if it has none, or one that {@link healthCheckProblem} refuses. */
export function healthCheckOf(name: string, options: readonly UnitOption[]): HealthCheck | undefined {
  const target = targetOf(name, lastValue(options, fleetSection, "HealthCheck"));
  if (target === undefined || typeof target === "string") return undefined;
  const span_ms = (option: keyof typeof defaults_ms) =>
    inBounds_ms(lastValue(options, fleetSection, option)) ?? defaults_ms[option];
  return { target, timeout_ms: span_ms("HealthTimeout"), interval_ms: span_ms("HealthInterval") };
}

/** Returns why the health check of a unit must not be stored; undefined if it may. */
export function healthCheckProblem(name: string, options: readonly UnitOption[]): string | undefined {
  for (const option of Object.keys(defaults_ms)) {
    const value = lastValue(options, fleetSection, option);
    if (value === "" || inBounds_ms(value) !== undefined) continue;
    return `malformed ${option} ${quote(value)}: expect a time span from 1s to 1h, for example 5s`;
  }
  const value = lastValue(options, fleetSection, "HealthCheck");
  if (value === "") return undefined;
  const type = parseUnitName(name)?.type ?? "";
  if (!checkedTypes.includes(type)) {
    return `HealthCheck= belongs in a service or a container, not in a unit of type ${quote(type)}`;
  }
  // Specifiers have their values in the instances of a template, which are checked when they are stored.
  if (isTemplate(name) && value.includes("%")) return undefined;
  const target = targetOf(name, value);
  return typeof target === "string" ? target : undefined;
}

function inBounds_ms(value: string): number | undefined {
  const span_ms = value === "" ? undefined : parseTimeSpan_ms(value);
  return span_ms !== undefined && span_ms >= shortest_ms && span_ms <= longest_ms ? span_ms : undefined;
}

/** Parses a value of HealthCheck=. Returns the reason, a text, if it is malformed. */
function targetOf(name: string, value: string): HealthProbeTarget | string | undefined {
  if (value === "") return undefined;
  if (value.startsWith("/")) {
    const words = splitCommand(value);
    if (words === undefined) return `malformed HealthCheck ${quote(value)}: a quote is not closed`;
    return { kind: "command", argv: words.map((word) => expandSpecifiers(word, name)) };
  }
  const url = URL.parse(expandSpecifiers(value, name));
  if (url?.protocol !== "http:") {
    return `malformed HealthCheck ${quote(value)}: expect http://localhost:PORT/PATH, or the absolute path of a ` +
      "command with its arguments";
  }
  if (url.username !== "" || url.password !== "") {
    return `malformed HealthCheck ${quote(value)}: a user or password is not sent; use a command`;
  }
  if (url.hostname !== "localhost" && !/^(\d+(\.\d+){3}|\[.*\])$/.test(url.hostname)) {
    return `malformed HealthCheck ${quote(value)}: ${quote(url.hostname)} is neither localhost nor an address; the ` +
      "check is made on the unit's machine and reaches only that machine";
  }
  return { kind: "http", url: url.href };
}

/** Splits a command at blanks outside of single or double quotes. There are no escapes. Undefined for an open quote. */
function splitCommand(command: string): string[] | undefined {
  const words: string[] = [];
  for (const part of command.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+|(["'])/g)) {
    if (part[1] !== undefined) return undefined;
    words.push(part[0].replace(/"([^"]*)"|'([^']*)'/g, (_, double, single) => double ?? single));
  }
  return words;
}
