/**
 * `/machines`: the machines that are present, and their dynamic metadata.
 *
 * @module
 */

import type { Machine, MachineId } from "../../../registry/model.ts";
import type { Api, Call } from "../context.ts";
import { reservedOnMachines } from "../../policy/reserved.ts";
import { machineEntity } from "../v1/entities.ts";
import { type Entries, pageText, requestedPage } from "../http/pages.ts";
import { emptyReply, errorReply } from "../http/responses.ts";
import { type Complete, decode } from "../v1/decode.ts";
import { maxMetadataPart, maxMetadataValue, MetadataRequest } from "../v1/types.ts";

interface Operation {
  readonly machine: MachineId;
  readonly key: string;
  /** "" hides the key. */
  readonly value: string;
}

/** GET `/machines`. */
export async function listMachines(api: Api, { query, peer }: Call): Promise<Response> {
  const page = requestedPage(query, api.pageSize);
  if ("refusal" in page) return errorReply(400, page.refusal);
  const cluster = await api.registry.read();
  const machines = api.lists.machines(cluster);
  const reserved = reservedOnMachines(cluster);
  const entries: Entries<Machine> = {
    key: ({ id }) => id,
    text: (machine) => JSON.stringify(machineEntity(machine, reserved.get(machine.id))),
  };
  return api.responses.json(pageText("machines", machines, page, entries), peer.whenOver);
}

/** PATCH `/machines`: checks all operations, then carries them out one after the other. */
export async function patchMachines(api: Api, call: Call): Promise<Response> {
  const body = await api.bodies.readJson(call.request, call.peer.body);
  if ("refusal" in body) return errorReply(body.code, body.refusal);
  const operations = readOperations(body.value);
  if (typeof operations === "string") return errorReply(400, operations);
  for (const operation of operations) await api.registry.commit({ kind: "metadata", ...operation });
  return emptyReply(204, { "Content-Type": "application/json" });
}

/** Returns the operations of a body, or the reason why it is invalid. A wrong type is reported before a wrong value. */
function readOperations(value: unknown): Operation[] | string {
  const decoded = decode(MetadataRequest, value);
  if ("refusal" in decoded) return decoded.refusal;
  const operations = decoded.value.map(checkOperation);
  return operations.find((operation) => typeof operation === "string") ?? operations as Operation[];
}

function checkOperation({ op, path, value: given }: Complete<MetadataRequest>[number]): Operation | string {
  const value = typeof given === "string" ? given : given.value;
  if (op !== "add" && op !== "remove" && op !== "replace") return "invalid op: expect add, remove, or replace";
  const [, machine = "", key = ""] = /^\/([^/]+)\/metadata\/([A-Za-z0-9_.-]+)$/.exec(path) ?? [];
  if (machine === "") return "machine metadata path invalid";
  if (machine.length > maxMetadataPart || key.length > maxMetadataPart) {
    return `machine metadata path invalid: machine ID and key have at most ${maxMetadataPart} characters`;
  }
  if (op === "remove") return { machine, key, value: "" };
  if (value === "") return "invalid value: add and replace require a value";
  if (value.length > maxMetadataValue) return `invalid value: exceeds maximum length (${maxMetadataValue})`;
  return { machine, key, value };
}
