/**
 * Ends the wait for machines that were lost at once.
 *
 * @module
 */

import { acceptLoss } from "../../api/client.ts";
import { access } from "../../api/session.ts";
import { present } from "../../api/stream.ts";
import { confirm } from "../confirm.tsx";
import { machineName } from "../parts.tsx";
import { PlanList } from "../plan.tsx";

/** The button that gives the machines up; for a client that may only read, the command that does. */
export function AcceptLoss() {
  if (access.value !== "write") {
    return (
      <>
        <code>fleetctl accept-loss</code> ends the wait.
      </>
    );
  }
  return (
    <div class="buttons">
      <button type="button" class="danger" onClick={confirmLoss}>Give up what was lost</button>
    </div>
  );
}

function confirmLoss(): void {
  const missing = new Set(present().loss?.missing);
  const units = present().units().filter(({ unit }) => unit.machineID !== undefined && missing.has(unit.machineID));
  confirm({
    title: `Give up ${missing.size} ${missing.size === 1 ? "machine" : "machines"}?`,
    note:
      "Their units start on other machines, also if they still run there: a machine without a connection to the store keeps its units running.",
    verb: "Give up",
    isDangerous: true,
    preview: () => ({
      shown: units.length === 0 ? <p class="plan">No unit was on what was lost.</p> : (
        <PlanList>
          {units.map(({ name, unit }) => (
            <li key={name}>
              <b>{name}</b>
              <span class="reason">starts on another machine instead of {machineName(unit.machineID!)}</span>
            </li>
          ))}
        </PlanList>
      ),
      act: acceptLoss,
    }),
  });
}
