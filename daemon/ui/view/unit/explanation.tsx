/**
 * Why a unit is on its machine, or on none.
 *
 * @module
 */

import { useState } from "preact/hooks";
import type { MachineExplanationEntity } from "../../../api/v1/types.ts";
import { explain } from "../../api/client.ts";
import { Failure, MachineLink, Section } from "../parts.tsx";
import { useRequest } from "./request.ts";

/** The most machines that are listed at first. */
const maxListed = 20;

const rankOf = ({ eligibility }: MachineExplanationEntity) =>
  ["assigned", "offline"].includes(eligibility) ? 0 : eligibility === "eligible" ? 1 : 2;

/** The explanation of a unit; asked for again when `version` changes. */
export function Explanation({ name, version }: { readonly name: string; readonly version: string }) {
  const { value, error } = useRequest(() => explain(name), version);
  const [isWhole, setWhole] = useState(false);
  // The machines that have the unit come first.
  const machines = (value?.machines ?? []).toSorted((one, other) => rankOf(one) - rankOf(other));
  const shown = isWhole ? machines : machines.slice(0, maxListed);
  return (
    <Section title="Why" id="explanation">
      <Failure error={error} />
      {!value && error === undefined && <p aria-busy="true">Asking the engine…</p>}
      {value && (
        <>
          <p>
            {value.summary.replace(/^./, (letter) => letter.toUpperCase())}
            {value.why !== undefined && <>: {value.why}</>}
            {value.next !== undefined && <>. The engine will {value.next}</>}.
          </p>
          {value.machines && value.machines.length > 0 && (
            <table>
              <thead>
                <tr>
                  <th scope="col">Machine</th>
                  <th scope="col">Eligibility</th>
                  <th scope="col">Reasons</th>
                </tr>
              </thead>
              <tbody>
                {shown.map(({ machineID, eligibility, reasons = [], pending, error }) => (
                  <tr key={machineID}>
                    <td>
                      <MachineLink id={machineID} />
                    </td>
                    <td>{eligibility}</td>
                    <td>
                      {reasons.map(({ rule, reason }) => <div key={rule + reason}>{rule}: {reason}</div>)}
                      {pending !== undefined && <div>{pending}</div>}
                      {error !== undefined && <div class="failure">{error}</div>}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
          {shown.length < (value.machines?.length ?? 0) && (
            <button type="button" onClick={() => setWhole(true)}>Show all {value.machines?.length} machines</button>
          )}
          {[...value.notes ?? [], ...value.warnings ?? []].map((text) => <p key={text} class="note">{text}</p>)}
        </>
      )}
    </Section>
  );
}
