/**
 * The progress of a roll-out.
 *
 * @module
 */

import type { RolloutEntity } from "../../api/v1/types.ts";
import { progressOf } from "../model/rollout.ts";
import { appAddress } from "./route.ts";

/** A roll-out in one line: its application, unless the line is below that anyway, status, progress and reason. */
export function Progress({ rollout, isNamed = false }: {
  readonly rollout: RolloutEntity;
  readonly isNamed?: boolean;
}) {
  const { app, what, status, reason, changed } = rollout;
  const { done, total } = progressOf(rollout);
  return (
    <>
      {isNamed && <a href={appAddress(app)}>{app}</a>} <span class="kind">{status}</span>
      <progress value={done} max={Math.max(total, 1)} aria-label={`Progress of ${app}`} />
      <span class="why">{what}: {done} of {total} units{changed && <>, by {changed.by}</>}</span>
      {reason !== undefined && <span class="reason">{reason}</span>}
    </>
  );
}
