/**
 * What machines use of their processors and memory, at the moment.
 *
 * @module
 */

import { useEffect, useState } from "preact/hooks";
import type { MachineUsageEntity } from "../../api/v1/types.ts";
import { readUsage } from "../api/client.ts";
import { bytesText, coresText, cpuBetween, type CpuUse } from "../model/usage.ts";

/** A measurement of a machine, and its use of processors since the one before. */
export interface Measured {
  readonly usage: MachineUsageEntity;
  readonly cpu: CpuUse;
}

/** The pause between two measurements: of one machine, and of all machines, with a part for each that is asked. */
const pause_ms = { one: 3_000, all: 10_000, each: 200 } as const;

/** The second measurement comes sooner: before it, the use of processors is unknown. */
const first_ms = 1_000;

/**
 * Measures one machine, or all without their units, while the component is shown and the tab is visible: use is no
 * event of the cluster. Returns the latest measurements by machine ID.
 */
export function useUsage(machineID?: string): ReadonlyMap<string, Measured> {
  const [measured, setMeasured] = useState<ReadonlyMap<string, Measured>>(new Map());
  useEffect(() => {
    let isShown = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let before: ReadonlyMap<string, MachineUsageEntity> | undefined;
    const measure = async () => {
      const all_ms = Math.max(pause_ms.all, pause_ms.each * (before?.size ?? 0));
      const wait_ms = before === undefined ? first_ms : machineID === undefined ? all_ms : pause_ms.one;
      if (!document.hidden) {
        try {
          const usages = await readUsage(machineID);
          if (!isShown) return;
          setMeasured(
            new Map([...usages].map(([id, usage]) => [id, { usage, cpu: cpuBetween(before?.get(id), usage) }])),
          );
          before = usages;
        } catch {
          // The frame of the page says that the connection is lost; old figures would look like new ones.
          if (isShown) setMeasured(new Map());
        }
      }
      if (isShown) timer = setTimeout(measure, wait_ms);
    };
    void measure();
    return () => {
      isShown = false;
      clearTimeout(timer);
    };
  }, [machineID]);
  return measured;
}

/** A share of something as a bar with text. `what` is its label. */
export function Meter({ what, used, of, text }: {
  readonly what: string;
  readonly used: number;
  readonly of: number;
  readonly text: string;
}) {
  return (
    <span class="meter">
      <span class="what">{what}</span>
      <meter value={Math.min(used, of)} max={of} low={0.75 * of} high={0.9 * of} optimum={0} aria-label={what} />
      <span class="amount">{text}</span>
    </span>
  );
}

/** The processors and the memory that a machine uses, in one line. */
export function Load({ measured }: { readonly measured: Measured | undefined }) {
  if (!measured) return null;
  const { usage: { error, cores, memoryBytes, memoryTotalBytes }, cpu: { machine: cpu } } = measured;
  if (error !== undefined) return <p class="note load">No figures: {error}</p>;
  return (
    <p class="load">
      {cpu !== undefined && cores !== undefined && (
        <Meter what="CPU" used={cpu} of={cores} text={`${coresText(cpu)} of ${cores}`} />
      )}
      {memoryBytes !== undefined && memoryTotalBytes !== undefined && (
        <Meter
          what="Memory"
          used={memoryBytes}
          of={memoryTotalBytes}
          text={`${bytesText(memoryBytes)} of ${bytesText(memoryTotalBytes)}`}
        />
      )}
    </p>
  );
}
