/**
 * `/state` and `/state/{name}`: the states of units on their machines.
 *
 * @module
 */

import type { UnitName, UnitState } from "../../../registry/model.ts";
import type { Api, Call } from "../context.ts";
import { stateEntity, statesOf } from "../v1/entities.ts";
import { type Entries, pageText, requestedPage } from "../http/pages.ts";
import { errorReply, jsonReply } from "../http/responses.ts";

const entries: Entries<UnitState> = {
  // A space is in no name, and sorts before every character that is.
  key: ({ unit, machine }) => `${unit} ${machine}`,
  text: (state) => JSON.stringify(stateEntity(state)),
};

/** GET `/state`, filtered by the first `unitName` and the first `machineID` that are not empty. */
export async function listStates(api: Api, { query, peer }: Call): Promise<Response> {
  const page = requestedPage(query, api.pageSize);
  if ("refusal" in page) return errorReply(400, page.refusal);
  const cluster = await api.registry.read();
  const unit = query.get("unitName");
  const machine = query.get("machineID");
  const ofUnit = unit ? statesOf(cluster, unit) : api.lists.states(cluster);
  const states = machine ? ofUnit.filter((state) => state.machine === machine) : ofUnit;
  return api.responses.json(pageText("states", states, page, entries), peer.whenOver);
}

/** GET `/state/{name}`: the state on the machine that has the unit, or else on the machine with the lowest ID. */
export async function getState(api: Api, name: UnitName): Promise<Response> {
  const cluster = await api.registry.read();
  const target = cluster.targets.get(name);
  const state = (target && cluster.states.get(name)?.get(target.machine)) ?? statesOf(cluster, name)[0];
  return state ? jsonReply(entries.text(state)) : errorReply(404, "unit state does not exist");
}
