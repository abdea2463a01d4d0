/**
 * Moves units from full machines to those with fewer.
 *
 * @module
 */

import type { RebalanceEntity } from "../../../api/v1/types.ts";
import { cancelMoves, readRebalance, requestMoves } from "../../api/client.ts";
import { access } from "../../api/session.ts";
import { confirm, type Preview } from "../confirm.tsx";
import { LeavingUnit } from "../drain.tsx";
import { machineName } from "../parts.tsx";
import { PlanList } from "../plan.tsx";
import { countOf, TextOption } from "./options.tsx";

/** The button that proposes moves. */
export function RebalanceButton() {
  if (access.value !== "write") return null;
  return (
    <div class="buttons">
      <button type="button" onClick={confirmRebalance}>Rebalance</button>
    </div>
  );
}

/** Shows moves that would even out the load, and requests them; or shows those that were requested, and cancels them. */
export function confirmRebalance(): void {
  confirm({
    title: "Rebalance the cluster?",
    note:
      "Units move from machines with many units to those with few. Each starts on its new machine first, where it may.",
    options: <TextOption name="maxMoves" label="Units that move, at most" placeholder="10" />,
    verb: "Move",
    async preview(options) {
      const maxMoves = countOf(options, "maxMoves", "Units that move, at most");
      const answer = await readRebalance(maxMoves ?? 10);
      return answer.requested ? requestedPreview(answer.requested) : proposedPreview(answer);
    },
  });
}

function requestedPreview(requested: NonNullable<RebalanceEntity["requested"]>): Preview {
  return {
    shown: (
      <>
        <p>These moves were requested, and are not made yet.</p>
        <PlanList>{requested.map((unit) => <LeavingUnit key={unit.name} unit={unit} isLinked={false} />)}</PlanList>
      </>
    ),
    verb: "Cancel these moves",
    act: cancelMoves,
  };
}

function proposedPreview({ proposed, loads }: RebalanceEntity): Preview {
  if (proposed.length === 0) return { shown: <p class="plan">The load is even: no move would improve it.</p> };
  return {
    shown: (
      <>
        <PlanList>
          {proposed.map(({ name, from, to }) => (
            <li key={name}>
              <b>{name}</b> <span class="reason">move from {machineName(from)} to {machineName(to)}</span>
            </li>
          ))}
        </PlanList>
        <table>
          <thead>
            <tr>
              <th scope="col">Machine</th>
              <th scope="col">Units now</th>
              <th scope="col">After</th>
            </tr>
          </thead>
          <tbody>
            {loads.filter(({ before, after }) => before !== after).map(({ machineID, before, after }) => (
              <tr key={machineID}>
                <td>{machineName(machineID)}</td>
                <td>{before}</td>
                <td>{after}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </>
    ),
    act: () => requestMoves(proposed),
  };
}
