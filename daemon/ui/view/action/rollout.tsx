/**
 * The roll-outs that a user may begin, and what a user may do with one that goes on.
 *
 * @module
 */

import type { AppRequest, PlanEntity, RolloutEntity, UnitEntity } from "../../../api/v1/types.ts";
import { commandRollout, readApp, startRollout } from "../../api/client.ts";
import { access } from "../../api/session.ts";
import { present } from "../../api/stream.ts";
import { actionsFor, effectsOf, requestOf, type RolloutAction } from "../../model/rollout.ts";
import { confirm } from "../confirm.tsx";
import { PlanList, planned } from "../plan.tsx";
import { countOf, Switch, TextOption } from "./options.tsx";

/** The options of every roll-out. */
export const rolloutOptions = (
  <>
    <Switch name="rollback" label="Go back if a unit does not become healthy" isOn />
    <TextOption name="maxParallel" label="Units of a template at once" placeholder="as MaxParallel= says" />
  </>
);

/** Begins the roll-out of a plan, with the options of the dialog. */
export async function rollOut(
  app: string,
  what: NonNullable<AppRequest["what"]>,
  plan: PlanEntity,
  units: readonly UnitEntity[],
  options: FormData,
): Promise<void> {
  const maxParallel = countOf(options, "maxParallel", "Units of a template at once");
  await startRollout(app, {
    ...requestOf(what, plan, units),
    rollback: options.has("rollback"),
    ...maxParallel !== undefined && { maxParallel },
  });
}

/** The buttons of a roll-out. */
export function RolloutActions({ rollout }: { readonly rollout: RolloutEntity }) {
  const actions = actionsFor(rollout.status);
  if (access.value !== "write" || actions.length === 0) return null;
  return (
    <div class="buttons" role="group" aria-label="Actions on the roll-out">
      {actions.map((action) => (
        <button key={action} type="button" onClick={() => confirmRollout(rollout, action)}>
          {capitalized(action)}
        </button>
      ))}
    </div>
  );
}

const capitalized = (text: string) => text.replace(/^./, (letter) => letter.toUpperCase());

/** The meaning of each action, for the dialog. */
const notes: Readonly<Record<RolloutAction, string>> = {
  pause: "Units that are being changed become healthy, and no other one is changed until the roll-out is resumed.",
  resume: "The roll-out goes on with the next units.",
  abort: "The roll-out ends, and every unit stays as it is now.",
  undo: "The units that were changed go back to what they were.",
};

function confirmRollout(rollout: RolloutEntity, action: RolloutAction): void {
  confirm({
    title: `${capitalized(action)} the roll-out of ${rollout.app}?`,
    note: notes[action],
    verb: capitalized(action),
    preview: () => ({
      shown: <Effects effects={effectsOf(present().rollouts.get(rollout.app) ?? rollout, action)} />,
      act: () => commandRollout(rollout.app, action),
    }),
  });
}

const Effects = ({ effects }: { readonly effects: ReturnType<typeof effectsOf> }) =>
  effects.length === 0 ? <p class="plan">No unit has been changed yet.</p> : (
    <PlanList>
      {effects.map(({ name, effect }) => (
        <li key={name}>
          <b>{name}</b> <span class="why">{effect}</span>
        </li>
      ))}
    </PlanList>
  );

/** Asks for confirmation, and brings an application back to one of its versions. */
export function confirmAppRollback(app: string, version: number): void {
  confirm({
    title: `Roll ${app} back to version ${version}?`,
    note: "Its units get the files and the desired states of then. Units that did not exist then are destroyed.",
    options: rolloutOptions,
    verb: "Roll back",
    async preview() {
      const { units = [], missing = [] } = await readApp(app, version);
      return await planned(
        { app, prune: missing.length === 0, units },
        (plan, options) => rollOut(app, "rollback", plan, units, options),
        missing.length > 0 && (
          <p class="note">
            The store no longer has the files of {missing.join(", ")}{" "}
            of then: they stay as they are, and no unit is destroyed.
          </p>
        ),
      );
    },
  });
}
