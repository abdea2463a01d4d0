/**
 * The health of a unit, as roll-outs and drains understand it: what its machine publishes says that it runs as desired.
 * Whether it stays so for a while is for the caller to observe. Pure.
 *
 * @module
 */

import type { Cluster, MachineId, Unit, UnitName, UnitState } from "../../registry/model.ts";
import { healthCheckOf } from "../../registry/health_check.ts";
import { lastValue, optionsOf } from "../../systemd/unit_file.ts";
import { isTemplate } from "../../systemd/unit_name.ts";
import { globalsAmong, isActiveGlobal, versionOn } from "./globals.ts";

/** The health of a unit at one moment. */
export type Health =
  /** `start` changes whenever the unit is started again, also by systemd, or changes its state. */
  | { readonly kind: "healthy"; readonly start: string }
  /** It may become healthy. `why` is a part of a sentence about the unit, such as "is starting". */
  | { readonly kind: "waiting"; readonly why: string }
  /** It does not become healthy by itself. */
  | { readonly kind: "unhealthy"; readonly why: string };

/**
 * The number of automatic restarts after which a unit that has never been healthy for long enough counts as failed, however
 * slowly it crashes. It is what systemd allows within ten seconds by default (`StartLimitBurst=`, systemd.unit(5)).
 */
export const maxRestarts = 5;

/** Returns what is to be said about a unit that systemd has started again too often, a part of a sentence. */
export function crashText({ machine, restarts = 0, ...state }: UnitState): string {
  return `crashes on machine ${machine.slice(0, 8)}${
    resultText(state)
  }: systemd has started it again ${restarts} times`;
}

/** Returns the health of a unit of the cluster on all machines that should have it. */
export function healthOf(cluster: Cluster, unit: Unit): Health {
  if (unit.unreadable !== undefined) return { kind: "unhealthy", why: "cannot be read" };
  if (unit.desiredState === "inactive" || isTemplate(unit.name)) return { kind: "healthy", start: "" };
  const machines = unit.requirements.global ? machinesOfGlobal(cluster, unit) : machineOfJob(cluster, unit);
  if (typeof machines === "string") return { kind: "waiting", why: machines };
  const all = machines.map((machine) => healthOn(cluster, versionOn(unit, machine), machine));
  const worst = all.find(({ kind }) => kind === "unhealthy") ?? all.find(({ kind }) => kind === "waiting");
  if (worst) return worst;
  return { kind: "healthy", start: all.map((health) => health.kind === "healthy" ? health.start : "").join(" ") };
}

function machineOfJob({ targets, machines }: Cluster, { name }: Unit): readonly MachineId[] | string {
  const machine = targets.get(name)?.machine;
  if (machine === undefined || machine === "") return "has no machine yet";
  return machines.has(machine) ? [machine] : `is on machine ${machine.slice(0, 8)}, which is away`;
}

/** Returns the machines on which a global unit should be, in order. `unit`: as it is, or as it may become. */
export function machinesOfGlobal({ units, targets, machines }: Cluster, unit: Unit): readonly MachineId[] {
  const globals = [...units.values()].filter(isActiveGlobal).map((each) => each.name === unit.name ? unit : each);
  const jobs = Map.groupBy(targets.values(), ({ machine }) => machine);
  return [...machines.values()]
    .filter((machine) => {
      const beside = (jobs.get(machine.id) ?? []).flatMap((target) => units.get(target.unit) ?? []);
      return globalsAmong(machine, beside, globals).some(({ name }) => name === unit.name);
    })
    .map(({ id }) => id).sort();
}

/** Returns the health of a unit on one machine, from the state that the machine publishes. */
export function healthOn({ states, files }: Cluster, unit: Unit, machine: MachineId): Health {
  return stateHealth(unit, states.get(unit.name)?.get(machine), machine, files.get(unit.hash)?.text);
}

/** A unit as it should be on a machine. */
export type WantedUnit = Pick<Unit, "name" | "hash" | "desiredState" | "restart" | "fleetOptions">;

/** Returns the health of a unit on one machine, from its state there. `text`: its file. */
export function stateHealth(
  unit: WantedUnit,
  state: UnitState | undefined,
  machine: MachineId,
  text: string | undefined,
): Health {
  const on = `on machine ${machine.slice(0, 8)}`;
  // An error beside another file may be about that file: the machine may not have seen the new one yet.
  if (!state || state.hash !== unit.hash) {
    return {
      kind: "waiting",
      why: `does not have its file ${on} yet${state?.error === undefined ? "" : `: ${state.error}`}`,
    };
  }
  if (state.permanent && state.error !== undefined) return { kind: "unhealthy", why: `fails ${on}: ${state.error}` };
  if (unit.desiredState === "loaded") return healthy(state);
  if (state.commanded !== "launched" || state.restart < unit.restart) {
    return { kind: "waiting", why: `is not started ${on} yet${state.error === undefined ? "" : `: ${state.error}`}` };
  }
  if (state.active === "active") return checkedHealth(unit, state, on);
  if (state.active === "failed") return { kind: "unhealthy", why: `failed ${on}${resultText(state)}` };
  if (state.active === "inactive" && state.job === "done" && isOneshot(unit.name, text)) {
    return state.result === undefined ? healthy(state) : { kind: "unhealthy", why: `failed ${on}${resultText(state)}` };
  }
  return { kind: "waiting", why: `is ${state.active} (${state.sub}) ${on}${resultText(state)}` };
}

/** Returns the health of an active unit: its check, if it has one, must pass. */
function checkedHealth({ name, fleetOptions }: WantedUnit, state: UnitState, on: string): Health {
  if (state.health === "passing" || healthCheckOf(name, fleetOptions) === undefined) return healthy(state);
  if (state.health === undefined) return { kind: "waiting", why: `was not checked ${on} yet` };
  return { kind: "waiting", why: `fails its health check ${on}: ${state.healthReason ?? "no reason given"}` };
}

function healthy({ machine, hash, restart, restarts = 0, since_ms }: UnitState): Health {
  return { kind: "healthy", start: [machine, hash, restart, restarts, since_ms].join(":") };
}

function resultText({ result }: Pick<UnitState, "result">): string {
  return result === undefined ? "" : ` with result ${result}`;
}

/**
 * True for a unit that does its work and ends: a oneshot service (systemd.service(5)), or one that podman makes of a
 * Quadlet file.
 */
function isOneshot(name: UnitName, text = ""): boolean {
  if (/\.(build|image|network|volume)$/.test(name)) return true;
  return lastValue(optionsOf(text), "Service", "Type") === "oneshot";
}
