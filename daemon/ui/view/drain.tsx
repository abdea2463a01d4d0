/**
 * The drain of a machine: the units that are left there, and what each waits for.
 *
 * @module
 */

import type { MovingUnitEntity } from "../../api/v1/types.ts";
import { readDrain } from "../api/client.ts";
import { present } from "../api/stream.ts";
import { Failure, machineName, Section, Time } from "./parts.tsx";
import { unitAddress } from "./route.ts";
import { useRequest } from "./unit/request.ts";

/** The drain of a machine; nothing if there is none. `units`: those on the machine, after whose changes it is read again. */
export function Drain({ id, units }: { readonly id: string; readonly units: readonly string[] }) {
  const drain = present().drains.get(id);
  const status = drain?.status;
  const { value, error } = useRequest(() => readDrain(id), `${status} ${drain?.at} ${units.join()}`);
  if (status === undefined) return null;
  const { force, ignoreGlobals, deadline, total, unreadableUnits } = value ?? {};
  return (
    <Section title={`Drain: ${status}`} id="drain">
      <Failure error={error} />
      {value && (
        <p class="note">
          {value.units?.length ?? 0} of {total} units are left.
          {force && " Units that fit on no other machine are stopped."}
          {ignoreGlobals && " Global units stay."}
          {unreadableUnits && ` Units whose records cannot be read stay: ${unreadableUnits.join(", ")}.`}
          {deadline !== undefined && (
            <>
              {" No unit waits after "}
              <Time at_ms={deadline} />.
            </>
          )}
        </p>
      )}
      <ul class="problems">{value?.units?.map((unit) => <LeavingUnit key={unit.name} unit={unit} />)}</ul>
    </Section>
  );
}

/** A unit that is to leave its machine: where it goes, or why it stays. */
export const LeavingUnit = ({ unit, isLinked = true }: {
  readonly unit: MovingUnitEntity;
  readonly isLinked?: boolean;
}) => {
  const { name, state, to, why, stopsFirst, machines = [] } = unit;
  return (
    <li>
      {isLinked ? <a href={unitAddress(name)}>{name}</a> : <b>{name}</b>} <span class={`kind ${state}`}>{state}</span>
      {to !== undefined && <span class="why">to {machineName(to)}</span>}
      {why !== undefined && <span class="reason">{why}</span>}
      {stopsFirst !== undefined && <span class="reason">stops before it starts there: {stopsFirst}</span>}
      {machines.map(({ machineID, reasons }) => (
        <span key={machineID} class="reason">{machineName(machineID)}: {reasons.join("; ")}</span>
      ))}
    </li>
  );
};
