/**
 * `/machines`: the machines that are present, and their dynamic metadata.
 *
 * @module
 */

import { messageOf } from "../../registry/log.ts";
import { StoreUnavailableError, WrongStoreError } from "../../registry/mod.ts";
import type { Machine, MachineId } from "../../registry/model.ts";
import { fieldsOf, readJson, textField } from "./body.ts";
import type { Api, Call } from "./context.ts";
import { machineEntity } from "./entities.ts";
import { pageText, requestedPage } from "./pages.ts";
import { emptyReply, errorReply, jsonReply } from "./replies.ts";

/** Operations in one PATCH. Each is a transaction of its own. */
const maxOperations = 1000;

/** Longest machine ID and metadata key that are accepted, in characters. */
const maxPart = 256;

/** Longest metadata value that is accepted, in characters. */
const maxValue = 4096;

interface Operation {
  readonly machine: MachineId;
  readonly key: string;
  /** "" hides the key. */
  readonly value: string;
}

/** GET `/machines`. */
export async function listMachines(api: Api, { query }: Call): Promise<Response> {
  const asked = requestedPage(query, api.pageSize);
  if ("refusal" in asked) return errorReply(400, asked.refusal);
  const machines = api.lists.machines(await api.registry.read());
  const render = (machine: Machine) => JSON.stringify(machineEntity(machine));
  return jsonReply(pageText("machines", machines, { page: asked.page, size: api.pageSize }, render));
}

/** PATCH `/machines`: all operations are checked first, then carried out one after the other. */
export async function patchMachines(api: Api, { request }: Call): Promise<Response> {
  const body = await readJson(request);
  if ("refusal" in body) return errorReply(body.code, body.refusal);
  const operations = readOperations(body.value);
  if (typeof operations === "string") return errorReply(400, operations);
  try {
    for (const operation of operations) await api.registry.commit({ kind: "metadata", ...operation });
  } catch (error) {
    if (error instanceof StoreUnavailableError || error instanceof WrongStoreError) throw error;
    api.log("error", "machine metadata could not be written", { error: messageOf(error) });
    return errorReply(500, messageOf(error));
  }
  return emptyReply(204, { "Content-Type": "application/json" });
}

function readOperations(value: unknown): Operation[] | string {
  if (value === null) return [];
  if (!Array.isArray(value)) return "expected an array of operations";
  if (value.length > maxOperations) return `too many operations: expect at most ${maxOperations}`;
  const operations: Operation[] = [];
  const items = value.map(readOperation);
  // What cannot be decoded is told before what makes no sense, whichever comes first.
  const undecodable = items.find((item): item is string => typeof item === "string");
  if (undecodable !== undefined) return undecodable;
  for (const item of items as readonly RawOperation[]) {
    const operation = checkOperation(item);
    if (typeof operation === "string") return operation;
    operations.push(operation);
  }
  return operations;
}

interface RawOperation {
  readonly op: string;
  readonly path: string;
  readonly value: string;
}

function readOperation(item: unknown): RawOperation | string {
  const fields = fieldsOf(item);
  if (fields === undefined) return "expected each operation to be an object";
  const op = textField(fields, "op");
  const path = textField(fields, "path");
  if (op === undefined || path === undefined) return "expected op and path to be strings";
  const nested = fields.get("value");
  const value = typeof nested === "object"
    ? textField(fieldsOf(nested) ?? new Map([["value", 0]]), "value")
    : textField(fields, "value");
  if (value === undefined) return 'expected value to be a string or an object {"value": "text"}';
  return { op, path, value };
}

function checkOperation({ op, path, value }: RawOperation): Operation | string {
  if (op !== "add" && op !== "remove" && op !== "replace") return "invalid op: expect add, remove, or replace";
  const [, machine = "", key = ""] = /^\/([^/]+)\/metadata\/([A-Za-z0-9_.-]+)$/.exec(path) ?? [];
  if (machine === "" || machine.length > maxPart || key.length > maxPart) return "machine metadata path invalid";
  if (op === "remove") return { machine, key, value: "" };
  if (value === "") return "invalid value: add and replace require a value";
  if (value.length > maxValue) return `invalid value: exceeds maximum length (${maxValue})`;
  return { machine, key, value };
}
