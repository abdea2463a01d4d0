/**
 * The overview of a cluster as text for one screen. Pure.
 *
 * @module
 */

import { counted } from "../../runtime/counted.ts";
import type { Health } from "../api/client.ts";
import { machineLegend } from "../machines/format.ts";
import { inTone, type Tone } from "../output/list.ts";
import { clockTime } from "../output/time.ts";
import type { FailingUnit, Overview } from "./overview.ts";

/** Most lines of each part. */
const maxLines = 10;

/** Values besides the overview that the lines depend on. */
export interface ReportOptions {
  readonly endpoint: string;
  readonly health: Health;
  readonly now_ms: number;
  readonly color: boolean;
}

/** Returns the overview as lines. */
export function overviewLines(overview: Overview, options: ReportOptions): string[] {
  const legend = (id: string) => {
    return machineLegend(overview.machines.find((machine) => machine.id === id) ?? { id }, false);
  };
  const paint = (text: string, tone: Tone) => options.color ? inTone(text, tone) : text;
  const failing = (list: readonly FailingUnit[], more: string) =>
    limited(
      list.map(({ unit, machineID, why, since }) => {
        const age = since === undefined ? "" : ` for ${ageOf(options.now_ms - since)}`;
        return [`  ${unit} on ${legend(machineID)}${age}: ${why}`];
      }),
      more,
    );
  const { failed, unhealthy } = overview;
  return [
    machinesLine(overview, legend, paint),
    storeLine(overview, options),
    unitsLine(overview, paint),
    ...lossLines(overview, legend),
    ...part("Waiting for a machine", limited(waitingLines(overview), "fleetctl list-unit-files --filter target=-")),
    ...part("Failed", failing(failed, "fleetctl list-units --filter state=failed")),
    ...part("Unhealthy", failing(unhealthy, "fleetctl list-units --filter health=failing")),
    ...part("Roll-outs", limited(rolloutLines(overview), "fleetctl apps")),
    ...part("Drains", limited(drainLines(overview, legend), "fleetctl drain")),
    ...part("Cordoned", limited(cordonLines(overview), "fleetctl list-machines --fields=machine,cordon")),
  ];
}

function machinesLine(
  { machines, leader }: Overview,
  legend: (id: string) => string,
  paint: (text: string, tone: Tone) => string,
): string {
  const led = leader === undefined ? paint("no machine leads: no unit is placed", "bad") : `leader ${legend(leader)}`;
  return `Machines  ${machines.length}, ${led}`;
}

function storeLine({ revision }: Overview, { endpoint, health }: ReportOptions): string {
  const version = health.version === undefined ? "" : `, fleetd ${health.version}`;
  return `Store     ready, revision ${revision} (${endpoint}${version})`;
}

const tones: Readonly<Record<string, Tone>> = { active: "good", failed: "bad", waiting: "busy", activating: "busy" };

function unitsLine({ units }: Overview, paint: (text: string, tone: Tone) => string): string {
  const counts = Object.entries(units);
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  const parts = counts.map(([state, count]) => {
    const tone = tones[state];
    return tone ? paint(`${count} ${state}`, tone) : `${count} ${state}`;
  });
  return `Units     ${total}${parts.length === 0 ? "" : `: ${parts.join(", ")}`}`;
}

/** Returns a part below its title; nothing if it is empty. */
function part(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", title, ...lines];
}

/** Returns the lines of the first entries; `more` is the command that shows all. */
function limited(entries: readonly (readonly string[])[], more: string): string[] {
  const hidden = entries.length - maxLines;
  const lines = entries.slice(0, maxLines).flat();
  return hidden > 0 ? [...lines, `  ... and ${hidden} more: ${more}`] : lines;
}

function waitingLines({ waiting }: Overview): string[][] {
  return waiting.map(({ unit, why, reasons }) => [
    `  ${unit}: ${why}`,
    ...reasons.map(({ machines, reason }) => `    ${reason}${machines === 1 ? "" : ` (${machines} machines)`}`),
  ]);
}

function rolloutLines({ rollouts }: Overview): string[][] {
  return rollouts.map(({ app, what, status, reason, changed, changes, healthy }) => {
    const by = changed === undefined ? "" : ` by ${changed.by}`;
    return [
      `  ${app}: ${what}${by} is ${status}, ${healthy} of ${changes} changes done${reason ? `: ${reason}` : ""}`,
    ];
  });
}

function drainLines({ drains }: Overview, legend: (id: string) => string): string[][] {
  return drains.map(({ machineID, status, by, left }) => {
    const what = status === "done"
      ? "is drained"
      : `is being drained${by ? ` by ${by}` : ""}, ${counted(left, "unit")} left`;
    return [`  ${legend(machineID)} ${what}`];
  });
}

function cordonLines({ machines }: Overview): string[][] {
  return machines.flatMap((machine) => {
    const { cordon } = machine;
    if (!cordon) return [];
    return [[
      `  ${machineLegend(machine, false)}${cordon.by ? ` by ${cordon.by}` : ""}${cordon.why ? `: ${cordon.why}` : ""}`,
    ]];
  });
}

function lossLines({ loss }: Overview, legend: (id: string) => string): string[] {
  if (!loss?.missing || loss.until === undefined) return [];
  const names = loss.missing.map((id) => legend(id)).join(", ");
  return part("Machines lost at once", [
    `  The units of ${names} wait until ${clockTime(loss.until)}, or until fleetctl accept-loss.`,
  ]);
}

/** Returns a duration in its largest unit: `40 s`, `5 min`, `3 h` or `2 days`. */
export function ageOf(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s} s`;
  if (s < 2 * 3600) return `${Math.round(s / 60)} min`;
  return s < 2 * 86_400 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86_400)} days`;
}
