/**
 * What a user may do with units, one or several at once. A client that may only read sees no action.
 *
 * @module
 */

import type { ComponentChildren } from "preact";
import { isTemplate } from "../../../../systemd/unit_name.ts";
import { destroyUnit, putUnit, restartUnit } from "../../api/client.ts";
import { access } from "../../api/session.ts";
import { present } from "../../api/stream.ts";
import type { UnitView } from "../../model/condition.ts";
import { confirm } from "../confirm.tsx";
import { machineName } from "../parts.tsx";
import { PlanList, planned } from "../plan.tsx";

/** An action on units, which asks for confirmation. */
export interface UnitAction {
  readonly verb: string;
  readonly isDangerous?: boolean;
  readonly ask: () => void;
}

/** Returns what can be done with units; each action concerns those of them for which it makes sense. */
export function actionsOn(units: readonly UnitView[]): readonly UnitAction[] {
  const launched = units.filter(({ unit }) => unit.desiredState === "launched");
  const startable = units.filter(({ name, unit }) => unit.desiredState !== "launched" && !isTemplate(name));
  const placed = units.filter(({ unit }) => unit.desiredState !== "inactive");
  const all = [
    { verb: "Start", on: startable, ask: () => confirmState(startable, "Start", "launched") },
    { verb: "Restart", on: launched, ask: () => confirmRestart(launched) },
    { verb: "Stop", on: launched, ask: () => confirmState(launched, "Stop", "loaded") },
    { verb: "Unload", on: placed, ask: () => confirmState(placed, "Unload", "inactive") },
    { verb: "Destroy", on: units, ask: () => confirmDestroy(units), isDangerous: true },
  ];
  return all.filter(({ on }) => on.length > 0);
}

/** The buttons of units. */
export function UnitActions({ units, label, children }: {
  readonly units: readonly UnitView[];
  readonly label: string;
  /** Other buttons of the group. */
  readonly children?: ComponentChildren;
}) {
  if (access.value !== "write") return null;
  return (
    <div class="buttons" role="group" aria-label={label}>
      {children}
      {actionsOn(units).map(({ verb, ask, isDangerous }) => (
        <button key={verb} type="button" class={isDangerous ? "danger" : undefined} onClick={ask}>{verb}</button>
      ))}
    </div>
  );
}

/** Returns the title of a dialog, such as `Stop web.service?` or `Stop 3 units?`. */
function titleOf(verb: string, units: readonly UnitView[]): string {
  const [first, second] = units;
  return `${verb} ${first && !second ? first.name : `${units.length} units`}?`;
}

const notes: Readonly<Record<string, string>> = {
  loaded: "The unit file stays on its machine, and the unit can be started there again.",
  inactive: "The unit leaves its machine. Its file stays in the cluster.",
};

function confirmState(units: readonly UnitView[], verb: string, desiredState: string): void {
  const changed = units.map(({ name }) => ({ name, desiredState }));
  const note = notes[desiredState];
  confirm({
    title: titleOf(verb, units),
    ...note !== undefined && units.length === 1 && { note },
    verb,
    preview: () =>
      planned({ units: changed }, async ({ units = [] }) => {
        // Those that another client has changed in the same way are done.
        const pending = new Set(units.filter(({ change }) => change !== "none").map(({ name }) => name));
        for (const unit of changed) if (pending.has(unit.name)) await naming(unit.name, putUnit(unit), changed.length);
      }),
  });
}

function confirmRestart(units: readonly UnitView[]): void {
  const names = units.map(({ name }) => name);
  confirm({
    title: titleOf("Restart", units),
    note: units.length === 1
      ? "systemd stops the unit and starts it again, on every machine that runs it."
      : "systemd stops the units and starts them again, all at the same time. To change units one after another, apply them as an application.",
    verb: "Restart",
    preview: () => ({
      shown: <PlanList>{names.map((name) => <Restart key={name} name={name} />)}</PlanList>,
      async act() {
        for (const name of names) await naming(name, restartUnit(name), names.length);
      },
    }),
  });
}

function Restart({ name }: { readonly name: string }) {
  const machines = [...present().unit(name)?.states.keys() ?? []];
  return (
    <li>
      <b>{name}</b>
      {machines.map((id) => <span key={id} class="reason">restart on {machineName(id)}</span>)}
      {machines.length === 0 && <span class="reason">no machine has the unit, so nothing is restarted</span>}
    </li>
  );
}

function confirmDestroy(units: readonly UnitView[]): void {
  const names = units.map(({ name }) => name);
  confirm({
    title: titleOf("Destroy", units),
    note: "What runs is stopped. The unit files and their versions are removed from the cluster.",
    verb: "Destroy",
    isDangerous: true,
    preview: () =>
      planned({ destroy: names.filter((name) => present().unit(name)) }, async ({ units = [] }) => {
        const pending = units.filter(({ change }) => change === "destroy");
        for (const { name } of pending) await naming(name, destroyUnit(name), names.length);
      }),
  });
}

/** Waits for a request about one of several units, whose failure then names the unit. */
export async function naming(name: string, request: Promise<void>, count: number): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (count === 1) throw error;
    throw new Error(`${name}: ${(error as Error).message}. Units before it are done.`);
  }
}
