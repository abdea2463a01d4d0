/**
 * Reads and runs scripts about roll-outs: an app in a small cluster, and what the engine does step by step.
 *
 * | line | effect |
 * |---|---|
 * | `machine ID…`, `older ID`, `gone ID` | machines join, one with an older daemon, or one is lost |
 * | `departed ID stopped`, `departed ID lost` | a machine is stopped in good order, or is given up after a mass loss |
 * | `rejoin SECONDS` | machines that are absent may rejoin for so long, as after an outage of the store |
 * | `cut ID` | a machine loses its power; the others do not know it until it is `gone` |
 * | `version NAME [BEHAVIOR] [fails@ID] [OPTION=VALUE]…` | a unit file, and what becomes of units that are started with it (see `rollout_cluster.ts`), or of those on one machine |
 * | `unit NAME VERSION [STATE]` | a unit is put by hand, by bob |
 * | `destroy NAME` | a unit is destroyed by hand |
 * | `roll out [rollback=no] [maxParallel=N]` | a roll-out of the units in the indented lines below: `NAME VERSION [STATE]` or `NAME destroy` |
 * | `pause`, `resume`, `abort`, `undo` | a request about the roll-out, by alice |
 * | `elect` | another engine takes the lead |
 * | `run [DURATION]` | engine and machines work until nothing happens by itself, or for some seconds |
 * | `units` | the units are listed |
 * | `history` | the versions of the app are listed |
 * | `> …` | the expected output of the line above, line by line |
 * | `# …` | a remark |
 *
 * @module
 */

import type { RolloutUpdate } from "../../../registry/mod.ts";
import type { Departure, DesiredState, NextVersion, UnitName, UnitSpec } from "../../../registry/model.ts";
import { hasEnded, type RolloutRequest } from "../../../registry/rollouts.ts";
import { type Behavior, RolloutCluster } from "./rollout_cluster.ts";
import { runLines } from "../script.ts";

const app = "web";
const behaviors: readonly string[] = ["up", "fails", "hangs", "crashes", "dies", "ends"];

/** Runs a script. Returns it with the actual output in place of the expected one. */
export function runScript(script: string): string {
  const cluster = new RolloutCluster();
  return runLines(script, (words, below) => runLine(cluster, words, below));
}

function runLine(cluster: RolloutCluster, [command, ...rest]: string[], below: readonly string[]): string[] {
  const [name = "", ...more] = rest;
  switch (command) {
    case "machine":
      for (const id of rest) cluster.machine(id);
      return [];
    case "older":
      cluster.machine(name, true);
      return [];
    case "cut":
      cluster.cut.add(name);
      return [];
    case "gone":
      cluster.gone(name);
      return [];
    case "departed":
      cluster.gone(name, more[0] as Departure);
      return [];
    case "rejoin":
      cluster.rejoinUntil_ms = cluster.now_ms + Number(name) * 1_000;
      return [];
    case "version": {
      const behavior = more.find((word) => behaviors.includes(word)) ?? "up";
      const failing = more.find((word) => word.startsWith("fails@"))?.slice("fails@".length);
      cluster.version(name, behavior as Behavior, more.filter((word) => word.includes("=")), failing);
      return [];
    }
    case "unit":
      cluster.put(name, more[0]!, (more[1] ?? "launched") as DesiredState, "bob");
      return [];
    case "destroy":
      cluster.destroy(name);
      return [];
    case "roll":
      return begin(cluster, rest, below);
    case "elect":
      cluster.elect();
      return [];
    case "run":
      return run(cluster, name === "" ? Infinity : Number(name) * 1_000);
    case "units":
      return [...cluster.cluster.units.values()].sort((a, b) => a.name < b.name ? -1 : 1)
        .map(({ name, hash, desiredState, app, next }) =>
          [name, cluster.versionOf(hash), desiredState, app, ...next ? [nextText(cluster, next)] : []].join(" ")
        );
    case "history":
      return (cluster.cluster.apps?.get(app)?.versions ?? []).map(({ number, what, units }) =>
        `${number} ${what}: ${
          units.map(({ unit, before, after }) => `${unit} ${specText(cluster, before)} -> ${specText(cluster, after)}`)
            .join(", ")
        }`
      );
    case "pause":
    case "resume":
    case "abort":
    case "undo": {
      const refusal = cluster.request(app, command as RolloutRequest);
      return refusal === undefined ? [] : [`refused: ${refusal}`];
    }
    default:
      throw new Error(`a script about roll-outs has no command "${command}"`);
  }
}

/** Returns the machines that have another file than the unit's own; those in brackets are not known to be healthy. */
function nextText(cluster: RolloutCluster, { hash, machines, unproven }: NextVersion): string {
  const on = machines.map((id) => unproven.includes(id) ? `(${id})` : id);
  const back = unproven.filter((id) => !machines.includes(id)).map((id) => `, own on (${id})`);
  return `${cluster.versionOf(hash)} on ${on.join(" ") || "none"}${back.join("")}`;
}

function specText(cluster: RolloutCluster, spec: UnitSpec | undefined): string {
  if (!spec) return "none";
  const version = cluster.versionOf(spec.hash);
  return spec.desiredState === "launched" ? version : `${version} (${spec.desiredState})`;
}

function begin(cluster: RolloutCluster, options: readonly string[], below: readonly string[]): string[] {
  const units = new Map(below.map((line) => {
    const [name = "", version = "", state = "launched"] = line.split(/\s+/);
    const wanted = version === "destroy" ? undefined : { version, desiredState: state as DesiredState };
    return [name as UnitName, wanted] as const;
  }));
  const parallel = options.find((option) => option.startsWith("maxParallel="))?.split("=")[1];
  cluster.start(app, units, {
    rollback: !options.includes("rollback=no"),
    ...parallel !== undefined && { maxParallel: Number(parallel) },
  });
  return [];
}

/** Lets engine and machines work. Returns what happens to the roll-out, with the seconds since the beginning of the script. */
function run(cluster: RolloutCluster, duration_ms: number): string[] {
  const lines: string[] = [];
  const end_ms = cluster.now_ms + duration_ms;
  for (let rounds = 0; rounds < 10_000; rounds++) {
    const { updates, wait_ms } = cluster.work();
    for (const update of updates) lines.push(...updateLines(cluster, update));
    const rollout = cluster.rollout(app);
    const isOver = !rollout || hasEnded(rollout) || rollout.status === "paused";
    if (wait_ms === 0) continue;
    const next_ms = Math.min(end_ms, cluster.now_ms + wait_ms);
    if (Number.isFinite(next_ms)) cluster.now_ms = next_ms;
    if (isOver && end_ms === Infinity || next_ms === end_ms) return lines.length === 0 ? ["nothing"] : lines;
  }
  throw new Error(`the roll-out does not come to rest:\n${lines.join("\n")}`);
}

function updateLines(cluster: RolloutCluster, { was, status, reason, states, units = [] }: RolloutUpdate): string[] {
  const time = `${(cluster.now_ms / 1_000).toFixed(1)} s`;
  const written = new Map(units.map((change) => [change.was.name, change]));
  const lines = [...states ?? []].map(([at, state]) => {
    const { unit, before, after } = was.steps[at]!;
    const change = written.get(unit);
    const spec = was.status === "rolling-back" ? before : after;
    const next = change?.kind === "put" && change.next ? nextText(cluster, change.next) : undefined;
    return `${time} ${change ? `${change.kind} ${unit} ${next ?? specText(cluster, spec)}, ` : `${unit} `}${state}`;
  });
  if (status !== was.status) lines.push(`${time} roll-out ${status}${reason === undefined ? "" : `: ${reason}`}`);
  return lines;
}
