/**
 * The whole cluster on one screen: what needs attention, then the machines with their units.
 *
 * @module
 */

import { present } from "../api/stream.ts";
import {
  type Condition,
  conditionOf,
  conditionOfCopy,
  conditions,
  symbols,
  type UnitView,
} from "../model/condition.ts";
import { hasEnded } from "../model/rollout.ts";
import { AcceptLoss } from "./action/loss.tsx";
import { RebalanceButton } from "./action/rebalance.tsx";
import { Progress } from "./progress.tsx";
import { Attention, FailedLately } from "./attention.tsx";
import { MachineLink, machineName, Section, Time, UnitLink } from "./parts.tsx";
import { usePast } from "./past.tsx";
import { Load, useUsage } from "./usage.tsx";
import { machineAddress, unitAddress } from "./route.ts";

/** The first view. */
export function Overview() {
  const units = present().units();
  const { events: past } = usePast({}, "1h");
  return (
    <>
      <h1>Cluster</h1>
      <Loss />
      <Rollouts />
      <Drains units={units} />
      <Attention units={units} />
      <FailedLately past={past} units={units} />
      <Machines units={units} />
      <Unplaced units={units} />
    </>
  );
}

function Loss() {
  const { missing = [], until } = present().loss ?? {};
  if (missing.length === 0) return null;
  return (
    <div class="failure" role="alert">
      {missing.length} {missing.length === 1 ? "machine was" : "machines were"}{" "}
      lost at once: their units stay where they are {until !== undefined && (
        <>
          until <Time at_ms={until} />
        </>
      )}. <AcceptLoss />
    </div>
  );
}

/** The roll-outs that go on, and those that need a decision. */
function Rollouts() {
  const open = [...present().rollouts.values()].filter(({ status }) => !hasEnded(status) || status === "failed");
  if (open.length === 0) return null;
  return (
    <Section title="Roll-outs" id="rollouts">
      <ul class="problems">
        {open.map((rollout) => (
          <li key={rollout.app}>
            <Progress rollout={rollout} isNamed />
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Drains({ units }: { readonly units: readonly UnitView[] }) {
  const { drains } = present();
  if (drains.size === 0) return null;
  const left = (id: string) => units.filter(({ unit, states }) => unit.machineID === id || states.has(id)).length;
  return (
    <Section title="Drains" id="drains">
      <ul class="problems">
        {[...drains.values()].map(({ machineID, status, by }) => (
          <li key={machineID}>
            <MachineLink id={machineID} /> <span class="kind">{status}</span>
            <span class="why">{left(machineID)} units left{by !== undefined && <>, requested by {by}</>}</span>
          </li>
        ))}
      </ul>
    </Section>
  );
}

/** A copy of a unit on one machine. */
interface Copy {
  readonly unit: UnitView;
  readonly condition: Condition;
}

/** The most tiles of a machine, and of all machines; above that, units are counted by condition. */
const maxTiles = 120;
const maxTilesInAll = 1_500;

function Machines({ units }: { readonly units: readonly UnitView[] }) {
  const measured = useUsage();
  const copies = new Map<string, Copy[]>([...present().machines.keys()].sort().map((id) => [id, []]));
  for (const unit of units) {
    for (const [machine, state] of unit.states) {
      copies.get(machine)?.push({ unit, condition: conditionOfCopy(unit, state) });
    }
    const machine = unit.unit.machineID;
    if (machine !== undefined && !unit.states.has(machine)) {
      copies.get(machine)?.push({ unit, condition: conditionOf(unit) });
    }
  }
  return (
    <Section title="Machines" id="machines">
      <RebalanceButton />
      <ul class="machines">
        {[...copies].map(([id, own]) => (
          <li key={id} class="machine">
            <h3>
              <a href={machineAddress(id)}>{machineName(id)}</a>
            </h3>
            <p class="note">
              {own.length} {own.length === 1 ? "unit" : "units"}
              {present().machines.get(id)?.cordon && <span class="label">takes no new units</span>}
              {Object.entries(present().machines.get(id)?.metadata ?? {}).map(([key, value]) => (
                <span key={key} class="label">{key}={value}</span>
              ))}
            </p>
            <Load measured={measured.get(id)} />
            {own.length <= maxTiles && units.length <= maxTilesInAll ? <Tiles copies={own} /> : <Counts copies={own} />}
          </li>
        ))}
      </ul>
    </Section>
  );
}

const Tiles = ({ copies }: { readonly copies: readonly Copy[] }) => (
  <ul class="tiles">
    {copies.map(({ unit: { name }, condition }) => (
      <li key={name}>
        <a class={`tile ${condition}`} href={unitAddress(name)} title={`${name}: ${condition}`}>
          <span aria-hidden="true">{symbols[condition]}</span> {name}
          <span class="hidden">, {condition}</span>
        </a>
      </li>
    ))}
  </ul>
);

const Counts = ({ copies }: { readonly copies: readonly Copy[] }) => (
  <ul class="tiles">
    {conditions.map((condition) => ({ condition, count: copies.filter((copy) => copy.condition === condition).length }))
      .filter(({ count }) => count > 0).map(({ condition, count }) => (
        <li key={condition}>
          <span class={`tile ${condition}`}>{symbols[condition]} {count} {condition}</span>
        </li>
      ))}
  </ul>
);

function Unplaced({ units }: { readonly units: readonly UnitView[] }) {
  const unplaced = units.filter(({ unit, states }) => unit.machineID === undefined && states.size === 0);
  if (unplaced.length === 0) return null;
  return (
    <Section title="On no machine" id="unplaced">
      {unplaced.length > maxTiles
        ? (
          <p>
            <a href="#/units">{unplaced.length} units</a>
          </p>
        )
        : (
          <ul class="tiles">
            {unplaced.map((unit) => (
              <li key={unit.name}>
                <UnitLink unit={unit} />
              </li>
            ))}
          </ul>
        )}
    </Section>
  );
}
