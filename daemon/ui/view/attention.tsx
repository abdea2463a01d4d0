/**
 * What needs attention: units that have failed, are unhealthy or wait, each with the reason, and units that failed lately.
 *
 * @module
 */

import { useState } from "preact/hooks";
import { readJournal } from "../api/client.ts";
import type { PastEvent } from "../model/cluster.ts";
import { conditionOf, failingCopy, problemConditions, problemOf, symbols, type UnitView } from "../model/condition.ts";
import { latelyFailed } from "../model/failures.ts";
import { Badge, Failure, MachineLink, machineName, Section, Time } from "./parts.tsx";
import { unitAddress } from "./route.ts";
import { useRequest } from "./unit/request.ts";

/** The units that are listed at first, so that the machines stay in sight, and at most. */
const maxListed = { first: 10, most: 50 } as const;

/** The units with a problem, the worst first. */
export function Attention({ units }: { readonly units: readonly UnitView[] }) {
  const wanting = problemConditions.flatMap((problem) => units.filter((unit) => conditionOf(unit) === problem));
  const [isWhole, setWhole] = useState(false);
  const shown = wanting.slice(0, isWhole ? maxListed.most : maxListed.first);
  return (
    <Section title="Needs attention" id="attention">
      {wanting.length === 0 && <p class="empty">{symbols.finished} Nothing has failed, and no unit waits.</p>}
      <ul class="problems">
        {shown.map((unit) => <Problem key={unit.name} unit={unit} />)}
      </ul>
      {shown.length < wanting.length && !isWhole && (
        <button type="button" onClick={() => setWhole(true)}>
          Show {Math.min(wanting.length, maxListed.most) - shown.length} more
        </button>
      )}
      {wanting.length > maxListed.most && (
        <p>
          <a href="#/units">All {wanting.length} units with a problem</a>
        </p>
      )}
    </Section>
  );
}

function Problem({ unit }: { readonly unit: UnitView }) {
  const copy = failingCopy(unit);
  return (
    <li>
      <Badge condition={conditionOf(unit)} /> <a href={unitAddress(unit.name)}>{unit.name}</a>
      <span class="why">
        {problemOf(unit)}
        {copy && (
          <>
            , on <MachineLink id={copy.machineID} />
            {copy.since !== undefined && (
              <>
                {" since "}
                <Time at_ms={copy.since} />
              </>
            )}
          </>
        )}
      </span>
      {copy && <LastLines name={unit.name} machine={copy.machineID} />}
      {unit.decision?.waiting &&
        unit.decision.reasons?.map(({ machines, reason }) => (
          <span key={reason} class="reason">{machines} {machines === 1 ? "machine" : "machines"}: {reason}</span>
        ))}
    </li>
  );
}

/** A button that shows the end of a unit's journal. */
function LastLines({ name, machine }: { readonly name: string; readonly machine: string }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <button type="button" class="small" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        Last lines<span class="hidden">{` of the journal of ${name}`}</span>
      </button>
      {isOpen && <Lines name={name} machine={machine} />}
    </>
  );
}

function Lines({ name, machine }: { readonly name: string; readonly machine: string }) {
  const { value, error } = useRequest(() => readJournal(name, machine, 10), `${name} ${machine}`);
  return (
    <>
      <Failure error={error} />
      {value !== undefined && (
        <pre
          tabIndex={0}
          role="group"
          aria-label={`Last lines of ${name}`}
        >{value.trimEnd() || "The journal is empty."}</pre>
      )}
    </>
  );
}

/** The time in which a failure counts as one of late. */
const lately_ms = 3_600_000;

/** The units that have failed lately, and have not failed now. */
export function FailedLately({ past, units }: {
  readonly past: readonly PastEvent[];
  readonly units: readonly UnitView[];
}) {
  const failures = latelyFailed(past, units, Date.now() - lately_ms);
  if (failures.length === 0) return null;
  return (
    <Section title="Failed within the last hour" id="failed-lately">
      <ul class="problems">
        {failures.slice(0, maxListed.first).map(({ unit, machineID, at_ms, count, result }) => (
          <li key={unit.name}>
            <Badge condition={conditionOf(unit)} /> <a href={unitAddress(unit.name)}>{unit.name}</a>
            <span class="why">
              failed {count === 1 ? "once" : `${count} times`}, {count === 1 ? "at" : "last at"} <Time at_ms={at_ms} />
              {" "}
              on {machineName(machineID)}: {result}
            </span>
            <LastLines name={unit.name} machine={machineID} />
          </li>
        ))}
      </ul>
    </Section>
  );
}
