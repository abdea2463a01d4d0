/**
 * All units, with a filter; several can be selected for one action.
 *
 * @module
 */

import { signal } from "@preact/signals";
import { access } from "../api/session.ts";
import { present } from "../api/stream.ts";
import { conditionOf, conditions, problemOf, type UnitView } from "../model/condition.ts";
import { UnitActions } from "./action/units.tsx";
import { containsWords, Filter } from "./filter.tsx";
import { Badge, MachineLink, RowList } from "./parts.tsx";
import { unitAddress } from "./route.ts";

const words = signal("");

/** The condition that the view of all units shows; "" for any. */
export const condition = signal("");

/** The names of the units that are selected. Those that the filter hides are left alone. */
const selected = signal<ReadonlySet<string>>(new Set());

const matches = (unit: UnitView) =>
  (condition.value === "" || conditionOf(unit) === condition.value) &&
  containsWords(`${unit.name} ${unit.unit.machineID ?? ""}`, words);

/** The view of all units. */
export function Units() {
  const all = present().units();
  const units = all.filter(matches);
  return (
    <>
      <h1>Units</h1>
      <Filter
        words={words}
        placeholder="name or machine ID"
        label="Condition"
        choice={condition}
        choices={conditions}
        count={`${units.length} of ${all.length}`}
      />
      {access.value === "write" && units.length > 0 && <Selection units={units} />}
      {units.length === 0
        ? <p class="empty">{all.length === 0 ? "The cluster has no units." : "No unit matches the filter."}</p>
        : <RowList items={units} label="Units" keyOf={({ name }) => name} row={(unit) => <Row unit={unit} />} />}
    </>
  );
}

/** The switch that selects every unit of the list, and the actions on those that are selected. */
function Selection({ units }: { readonly units: readonly UnitView[] }) {
  const chosen = units.filter(({ name }) => selected.value.has(name));
  const toggle = (isOn: boolean) => selected.value = new Set(isOn ? units.map(({ name }) => name) : []);
  return (
    <div class="selection">
      <label class="switch">
        <input
          type="checkbox"
          checked={chosen.length === units.length}
          indeterminate={chosen.length > 0 && chosen.length < units.length}
          onChange={(event) => toggle(event.currentTarget.checked)}
        />{" "}
        {chosen.length === 0 ? `Select all ${units.length}` : `${chosen.length} selected`}
      </label>
      {chosen.length > 0 && <UnitActions units={chosen} label="Actions on the selected units" />}
    </div>
  );
}

function select(name: string, isOn: boolean): void {
  const names = new Set(selected.value);
  if (isOn) names.add(name);
  else names.delete(name);
  selected.value = names;
}

const Row = ({ unit }: { readonly unit: UnitView }) => (
  <>
    {access.value === "write" && (
      <input
        type="checkbox"
        aria-label={`Select ${unit.name}`}
        checked={selected.value.has(unit.name)}
        onChange={(event) => select(unit.name, event.currentTarget.checked)}
      />
    )}
    <Badge condition={conditionOf(unit)} />
    <a class="grow" href={unitAddress(unit.name)}>{unit.name}</a>
    <span class="why wide">{problemOf(unit)}</span>
    <span class="place">{unit.unit.machineID !== undefined && <MachineLink id={unit.unit.machineID} />}</span>
  </>
);
