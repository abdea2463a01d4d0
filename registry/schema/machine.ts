/**
 * Encodes and decodes the records of machines.
 *
 * @module
 */

import type { MachineId, MachineRecord } from "../model.ts";
import { capacityIn } from "../reservation.ts";
import type { KeyValue } from "../store/port.ts";
import { encode, Fields } from "./codec.ts";

export function encodeMachine(machine: MachineRecord): string {
  const { id, ip, apiAddress, incarnation, staticMetadata, capabilities, leaseTtl_ms, capacity, version } = machine;
  return encode({ id, ip, apiAddress, incarnation, staticMetadata, capabilities, leaseTtl_ms, capacity, version });
}

export function decodeMachine(id: MachineId, kv: KeyValue): MachineRecord {
  const fields = new Fields(kv);
  const apiAddress = fields.optionalText("apiAddress");
  const leaseTtl_ms = fields.optionalNumber("leaseTtl_ms");
  const capacity = capacityIn(fields.value("capacity"));
  return {
    id,
    ip: fields.text("ip"),
    ...(apiAddress === undefined ? {} : { apiAddress }),
    incarnation: fields.text("incarnation"),
    staticMetadata: fields.texts("staticMetadata"),
    capabilities: capabilitiesOf(fields.object("capabilities")),
    ...(leaseTtl_ms === undefined ? {} : { leaseTtl_ms }),
    ...(capacity && { capacity }),
    version: fields.text("version"),
  };
}

function capabilitiesOf(fields: Readonly<Record<string, unknown>>): MachineRecord["capabilities"] {
  const { disableEngine, files, quadlet, rollouts, stagedGlobals, successors } = fields;
  return {
    disableEngine: disableEngine === true,
    ...files === true && { files },
    ...quadlet === true && { quadlet },
    ...rollouts === true && { rollouts },
    ...stagedGlobals === true && { stagedGlobals },
    ...successors === true && { successors },
  };
}
