/**
 * The plan of changes: what would become of units, where and why, and how their files differ.
 *
 * @module
 */

import type { ComponentChildren } from "preact";
import type { MachineEffectEntity, PlanEntity, PlannedUnitEntity, PlanRequest } from "../../api/v1/types.ts";
import { plan } from "../api/client.ts";
import { unitText } from "../model/unit_text.ts";
import type { Preview } from "./confirm.tsx";
import { Diff } from "./diff.tsx";
import { machineName } from "./parts.tsx";

/** Makes the plan of changes. It cannot be carried out if a change would be refused, or no unit would be changed. */
export async function planned(
  changes: Partial<PlanRequest>,
  act: (plan: PlanEntity, options: FormData) => Promise<void>,
  note?: ComponentChildren,
): Promise<Preview> {
  const made = await plan(changes);
  const { units = [] } = made;
  const isRefused = units.some(({ change }) => change === "refuse");
  const namesUnits = (changes.units ?? changes.destroy) !== undefined;
  const isEmpty = namesUnits && units.every(({ change }) => change === "none");
  const shown = (
    <>
      {note}
      <Plan plan={made} changes={changes} />
    </>
  );
  return { shown, ...!isRefused && !isEmpty && { act: (options) => act(made, options) } };
}

/** The most units of a plan that are listed. */
const maxListed = 200;

const rank = ({ change }: PlannedUnitEntity) => change === "refuse" ? 0 : 1;

function Plan({ plan: { units = [], left = [] }, changes }: {
  readonly plan: PlanEntity;
  readonly changes: Partial<PlanRequest>;
}) {
  const touched = units.filter(({ change, effects, waiting }) => change !== "none" || effects || waiting)
    .sort((a, b) => rank(a) - rank(b));
  const options = new Map(changes.units?.map((unit) => [unit.name, unit.options]));
  return (
    <>
      {touched.length === 0
        ? (
          <p class="plan">
            {changes.units || changes.destroy ? "Nothing will change." : "No unit will start, stop or move."}
          </p>
        )
        : (
          <PlanList>
            {touched.slice(0, maxListed).map((unit) => (
              <PlannedUnit
                key={unit.name}
                unit={unit}
                file={options.get(unit.name)}
                isAlone={touched.length === 1}
              />
            ))}
            {touched.length > maxListed && <li>and {touched.length - maxListed} more units</li>}
          </PlanList>
        )}
      {left.length > 0 && <p class="note">These units stay as they are, since no file names them: {left.join(", ")}.
      </p>}
    </>
  );
}

/** The list of a plan. */
export const PlanList = ({ children }: { readonly children: ComponentChildren }) => (
  <ul class="plan" aria-label="Plan" tabIndex={0}>{children}</ul>
);

function PlannedUnit({ unit, file, isAlone }: {
  readonly unit: PlannedUnitEntity;
  readonly file: NonNullable<PlanRequest["units"]>[number]["options"];
  readonly isAlone: boolean;
}) {
  const { name, change, effects = [], waiting, machines = [], refusal, warnings = [], was, desiredState } = unit;
  const isDone = effects.length === 0 && waiting === undefined && refusal === undefined;
  return (
    <li>
      <b>{name}</b> {change !== "none" && <span class={`kind ${change}`}>{change}</span>}
      {change === "create" && desiredState !== "launched" && <span class="why">{desiredState}</span>}
      {refusal !== undefined && <span class="failure">{refusal}</span>}
      {effects.map((effect) => (
        <span key={effect.machineID} class="reason">
          {effectText(effect)}
          {effect.machineID === unit.machineID && unit.why !== undefined && <>: {unit.why}</>}
        </span>
      ))}
      {waiting !== undefined && <span class="reason waiting">will wait: {waiting}</span>}
      {waiting !== undefined &&
        reasonsOf(machines).map(([reason, count]) => (
          <span key={reason} class="reason">{count} {count === 1 ? "machine" : "machines"}: {reason}</span>
        ))}
      {change !== "none" && isDone && <span class="reason">no effect on any machine</span>}
      {warnings.map((warning) => <span key={warning} class="reason warning">warning: {warning}</span>)}
      {change === "replace" && was?.options && file && (
        <details open={isAlone}>
          <summary>Changed lines</summary>
          <Diff before={unitText(was.options)} after={unitText(file)} label={`Changed lines of ${name}`} />
        </details>
      )}
    </li>
  );
}

/** Returns an effect in words, such as `start on m1`. */
function effectText({ effect, machineID, from, along }: MachineEffectEntity): string {
  const where = `${from === undefined ? "on" : `from ${machineName(from)} to`} ${machineName(machineID)}`;
  return `${effect} ${where}${along === undefined ? "" : `, together with ${along}`}`;
}

/** The most reasons of machines that are listed for a unit that would wait. */
const maxReasons = 3;

/** Returns the most frequent reasons of machines, each with the number of machines. */
function reasonsOf(machines: NonNullable<PlannedUnitEntity["machines"]>): readonly (readonly [string, number])[] {
  const counts = new Map<string, number>();
  for (const { reason } of machines.flatMap(({ reasons }) => reasons)) {
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a).slice(0, maxReasons);
}
