/**
 * The capacity of a machine: what it has, what its units reserve, and what is in use.
 *
 * @module
 */

import type { JSX } from "preact";
import type { MachineEntity } from "../../../api/v1/types.ts";
import { readMachines } from "../../api/client.ts";
import { bytesText, coresText, durationText } from "../../model/usage.ts";
import { Failure, Section } from "../parts.tsx";
import { useRequest } from "../unit/request.ts";
import { type Measured, Meter } from "../usage.tsx";

/** The capacity and the use of a machine. `placed` changes when units come or go, which changes the reservations. */
export function Capacity({ id, machine, measured, placed }: {
  readonly id: string;
  readonly machine: MachineEntity;
  readonly measured: Measured | undefined;
  readonly placed: string;
}) {
  const { value, error } = useRequest(readMachines, placed);
  const { capacity } = machine;
  const reserved = value?.get(id)?.reserved;
  const { usage, cpu } = measured ?? {};
  const { cores, memoryBytes, memoryTotalBytes, tasks } = usage ?? {};
  const counted = Object.entries(capacity?.resources ?? {});
  return (
    <Section title="Capacity and use" id="capacity">
      <Failure error={error} />
      {usage?.error !== undefined && <p class="note">No figures of use: {usage.error}</p>}
      <table class="capacity">
        <thead>
          <tr>
            <th scope="col">Resource</th>
            <th scope="col">In use now</th>
            <th scope="col">Reserved by units</th>
          </tr>
        </thead>
        <tbody>
          {row(
            "CPU",
            cpu?.machine !== undefined && cores !== undefined && (
              <Meter
                what="CPU in use"
                used={cpu.machine}
                of={cores}
                text={`${coresText(cpu.machine)} of ${cores} cores`}
              />
            ),
            capacity && meterOf("CPU reserved", reserved?.cpu, capacity.cpu, (cpu_m) => `${cpu_m / 1000}`),
          )}
          {row(
            "Memory",
            memoryBytes !== undefined && memoryTotalBytes !== undefined &&
              meterOf("Memory in use", memoryBytes, memoryTotalBytes, bytesText),
            capacity && meterOf("Memory reserved", reserved?.memory, capacity.memory, bytesText),
          )}
          {counted.map(([name, count]) =>
            row(name, undefined, meterOf(`${name} reserved`, reserved?.resources?.[name] ?? 0, count, String))
          )}
          {tasks !== undefined && row("Tasks", `${tasks} processes and threads`, undefined)}
        </tbody>
      </table>
      <HostFacts measured={measured} />
    </Section>
  );
}

const row = (name: string, used: JSX.Element | string | false | undefined, reserved: JSX.Element | undefined) => (
  <tr key={name}>
    <th scope="row">{name}</th>
    <td>{used || "–"}</td>
    <td>{reserved ?? "–"}</td>
  </tr>
);

const meterOf = (what: string, used: number | undefined, of: number, text: (amount: number) => string) => (
  <Meter what={what} used={used ?? 0} of={of} text={`${text(used ?? 0)} of ${text(of)}`} />
);

function HostFacts({ measured }: { readonly measured: Measured | undefined }) {
  const { load, uptimeSeconds, os, systemd } = measured?.usage ?? {};
  return (
    <dl class="facts">
      {load !== undefined && <Fact name="Load of 1, 5 and 15 minutes" text={load} />}
      {uptimeSeconds !== undefined && <Fact name="Up for" text={durationText(uptimeSeconds)} />}
      {os !== undefined && <Fact name="Operating system" text={os || "unknown"} />}
      {systemd !== undefined && <Fact name="systemd" text={systemd || "unknown"} />}
    </dl>
  );
}

const Fact = ({ name, text }: { readonly name: string; readonly text: string }) => (
  <>
    <dt>{name}</dt>
    <dd>{text}</dd>
  </>
);
