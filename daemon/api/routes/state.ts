/**
 * `/state` and `/state/{name}`: what the machines say of units.
 *
 * @module
 */

import type { UnitName, UnitState } from "../../../registry/model.ts";
import type { Api, Call } from "../context.ts";
import { stateEntity, statesOf } from "../v1/entities.ts";
import { type Entries, pageText, requestedPage } from "../http/pages.ts";
import { errorReply, jsonReply } from "../http/responses.ts";

const entries: Entries<UnitState> = {
  // No name has a blank, and all that names have sorts behind one.
  key: ({ unit, machine }) => `${unit} ${machine}`,
  text: (state) => JSON.stringify(stateEntity(state)),
};

/** GET `/state`, narrowed by the first `unitName` and the first `machineID` where they are not empty. */
export async function listStates(api: Api, { query, peer }: Call): Promise<Response> {
  const asked = requestedPage(query, api.pageSize);
  if ("refusal" in asked) return errorReply(400, asked.refusal);
  const cluster = await api.registry.read();
  const unit = query.get("unitName");
  const machine = query.get("machineID");
  const ofUnit = unit ? statesOf(cluster, unit) : api.lists.states(cluster);
  const states = machine ? ofUnit.filter((state) => state.machine === machine) : ofUnit;
  return api.responses.json(pageText("states", states, asked, entries), peer.whenOver);
}

/** GET `/state/{name}`: what the unit's own machine says of it, else the machine with the lowest ID. */
export async function getState(api: Api, name: UnitName): Promise<Response> {
  const cluster = await api.registry.read();
  const target = cluster.targets.get(name);
  const state = (target && cluster.states.get(name)?.get(target.machine)) ?? statesOf(cluster, name)[0];
  return state ? jsonReply(entries.text(state)) : errorReply(404, "unit state does not exist");
}
