/**
 * One machine: what is known of it, its units, and what has happened there.
 *
 * @module
 */

import type { MachineEntity } from "../../api/v1/types.ts";
import { access } from "../api/session.ts";
import { present } from "../api/stream.ts";
import { conditionOf, conditionOfCopy, type UnitView } from "../model/condition.ts";
import { bytesText, coresText } from "../model/usage.ts";
import { confirmLabel, LabelForm, MachineActions } from "./action/machine.tsx";
import { Drain } from "./drain.tsx";
import { Capacity } from "./machine/capacity.tsx";
import { Badge, machineName, RowList, Section } from "./parts.tsx";
import { PastList } from "./past.tsx";
import { unitAddress } from "./route.ts";
import { type Measured, useUsage } from "./usage.tsx";

/** The view of a machine. */
export function Machine({ id }: { readonly id: string }) {
  const machine = present().machines.get(id);
  const units = present().units().filter(({ unit, states }) => unit.machineID === id || states.has(id));
  const measured = useUsage(id).get(id);
  return (
    <>
      <h1>{machineName(id)}</h1>
      {!machine && <p class="failure" role="alert">This machine is not in the cluster at the moment.</p>}
      <MachineActions id={id} machine={machine} />
      <Facts id={id} machine={machine} />
      {machine && (
        <Capacity
          id={id}
          machine={machine}
          measured={measured}
          placed={units.map(({ name }) => name).join()}
        />
      )}
      <Drain id={id} units={units.map(({ name }) => name)} />
      <Section title={`Units (${units.length})`} id="machine-units">
        {units.length === 0 ? <p class="empty">No unit is on this machine.</p> : (
          <RowList
            items={units}
            label="Units"
            keyOf={({ name }) => name}
            row={(unit) => <Row unit={unit} id={id} measured={measured} />}
          />
        )}
      </Section>
      <Section title="History" id="machine-events">
        <PastList filter={{ machine: id }} none="Nothing is known to have happened here." />
      </Section>
    </>
  );
}

function Facts({ id, machine }: { readonly id: string; readonly machine: MachineEntity | undefined }) {
  return (
    <dl class="facts">
      {machine?.cordon && (
        <>
          <dt>Cordon</dt>
          <dd>
            takes no new units{machine.cordon.why !== undefined && <>: {machine.cordon.why}</>}
            {machine.cordon.by !== undefined && <>, by {machine.cordon.by}</>}
          </dd>
        </>
      )}
      <dt>Machine ID</dt>
      <dd>
        <code>{id}</code>
      </dd>
      <dt>Address</dt>
      <dd>{machine?.primaryIP ?? "unknown"}</dd>
      <dt>Metadata</dt>
      <dd>
        {Object.entries(machine?.metadata ?? {}).map(([key, value]) => (
          <span key={key} class="label">
            {key}={value}
            {access.value === "write" && (
              <button
                type="button"
                aria-label={`Remove ${key}`}
                onClick={() => confirmLabel(id, key, undefined)}
              >
                ✕
              </button>
            )}
          </span>
        ))}
        {access.value === "write" && <LabelForm id={id} />}
      </dd>
    </dl>
  );
}

function Row({ unit, id, measured }: {
  readonly unit: UnitView;
  readonly id: string;
  readonly measured: Measured | undefined;
}) {
  const state = unit.states.get(id);
  const memory = measured?.usage.units?.find(({ name }) => name === unit.name)?.memoryBytes;
  const cpu = measured?.cpu.units.get(unit.name);
  return (
    <>
      <Badge condition={state ? conditionOfCopy(unit, state) : conditionOf(unit)} />
      <a class="grow" href={unitAddress(unit.name)}>{unit.name}</a>
      <span class="why">{state?.error}</span>
      {cpu !== undefined && <span class="place number">{coresText(cpu)} cores</span>}
      {memory !== undefined && <span class="place number">{bytesText(memory)}</span>}
    </>
  );
}
