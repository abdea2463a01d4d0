/**
 * Changes the number of instances of a template.
 *
 * @module
 */

import {
  deploymentOf,
  deploymentProblem,
  type Scaling,
  scalingOf,
  withInstances,
} from "../../../../registry/deployment.ts";
import type { PlanEntity, UnitEntity } from "../../../api/v1/types.ts";
import { destroyUnit, putUnit, readUnit } from "../../api/client.ts";
import { present } from "../../api/stream.ts";
import { optionsOf } from "../../model/unit_text.ts";
import { confirm } from "../confirm.tsx";
import { Failure } from "../parts.tsx";
import { planned } from "../plan.tsx";
import { textOf, TextOption } from "./options.tsx";
import { rollOut, rolloutOptions } from "./rollout.tsx";

/** Asks for the number of instances, shows the plan, and changes it. */
export async function confirmScale(name: string): Promise<void> {
  const title = `Scale ${name}`;
  try {
    const template = await readUnit(name);
    const { instances } = deploymentOf(name, optionsOf(template.options));
    const isNumbered = instances.every((instance, index) => instance === `${index + 1}`);
    ask(title, template, isNumbered ? `${instances.length}` : instances.join(","));
  } catch (error) {
    confirm({ title, verb: "Scale", preview: () => ({ shown: <Failure error={(error as Error).message} /> }) });
  }
}

function ask(title: string, template: UnitEntity, now: string): void {
  const { name, app } = template;
  confirm({
    title,
    note:
      "The number is written into Instances= of the template in the cluster. The next apply of its files goes back to what they say.",
    options: (
      <>
        <TextOption name="instances" label="Instances: a number, or names" value={now} placeholder="3 or blue,green" />
        {app !== undefined && rolloutOptions}
      </>
    ),
    verb: "Scale",
    preview(options) {
      const wanted = withInstances(optionsOf(template.options), textOf(options, "instances") || "0");
      const problem = deploymentProblem(name, wanted);
      if (problem !== undefined) throw new Error(`${problem}.`);
      const scaling = scalingOf(template, wanted, present().units().map(({ unit }) => unit));
      return planned(
        { units: scaling.units, destroy: scaling.surplus, ...app !== undefined && { app } },
        (plan, options) =>
          app === undefined ? carryOut(plan, scaling) : rollOut(app, "scale", plan, scaling.units, options),
      );
    },
  });
}

/** Changes the units of a template that belongs to no application. */
async function carryOut({ units = [] }: PlanEntity, scaling: Scaling): Promise<void> {
  const changed = new Set(units.filter(({ change }) => change !== "none").map(({ name }) => name));
  for (const unit of scaling.units) if (changed.has(unit.name)) await putUnit(unit);
  for (const name of scaling.surplus) await destroyUnit(name);
}
