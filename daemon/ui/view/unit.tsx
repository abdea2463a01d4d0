/**
 * One unit: desired and current state, where it runs and why, its file, journal, versions and events.
 *
 * @module
 */

import { isTemplate } from "../../../systemd/unit_name.ts";
import { present } from "../api/stream.ts";
import { conditionOf, conditionOfCopy, problemOf, type UnitView } from "../model/condition.ts";
import { confirmScale } from "./action/scale.tsx";
import { UnitActions } from "./action/units.tsx";
import { Badge, MachineLink, Section, Time } from "./parts.tsx";
import { PastList } from "./past.tsx";
import { Explanation } from "./unit/explanation.tsx";
import { UnitFile } from "./unit/file.tsx";
import { Journal } from "./unit/journal.tsx";
import { Versions } from "./unit/versions.tsx";

/** The view of a unit. */
export function Unit({ name }: { readonly name: string }) {
  const unit = present().unit(name);
  return (
    <>
      <h1>{name}</h1>
      {unit ? <Present unit={unit} /> : <p class="failure" role="alert">The cluster has no unit of this name.</p>}
      <Section title="History" id="unit-events">
        <PastList filter={{ unit: name }} none="Nothing is known to have happened to this unit." />
      </Section>
    </>
  );
}

function Present({ unit }: { readonly unit: UnitView }) {
  const { name, hash, decision, changed, states, unit: { desiredState, currentState } } = unit;
  const problem = problemOf(unit);
  const cordons = [...present().machines.values()].filter(({ cordon }) => cordon !== undefined).length;
  // Requests are repeated when one of these changes.
  const version =
    `${hash} ${desiredState} ${decision?.machineID} ${decision?.waiting} ${present().machines.size} ${cordons}`;
  return (
    <>
      <p>
        <Badge condition={conditionOf(unit)} /> {problem !== undefined && <span class="why">{problem}</span>}
      </p>
      <UnitActions units={[unit]} label={`Actions on ${name}`}>
        {isTemplate(name) && <button type="button" onClick={() => void confirmScale(name)}>Scale</button>}
      </UnitActions>
      <dl class="facts">
        <dt>Desired state</dt>
        <dd>{desiredState}</dd>
        <dt>Current state</dt>
        <dd>{currentState ?? "that of each machine"}</dd>
        {changed && (
          <>
            <dt>Last change</dt>
            <dd>
              <Time at_ms={changed.at} /> by {changed.by}
            </dd>
          </>
        )}
      </dl>
      <Section title="On machines" id="copies">
        {states.size === 0 && <p class="empty">No machine has this unit.</p>}
        <ul class="problems">
          {[...states].map(([machine, state]) => (
            <li key={machine}>
              <Badge condition={conditionOfCopy(unit, state)} /> <MachineLink id={machine} />
              <span class="why">
                systemd: {state.state?.systemdActiveState} ({state.state?.systemdSubState})
                {state.restarts !== undefined && <>, restarted {state.restarts} times by systemd</>}
                {state.since !== undefined && (
                  <>
                    , since <Time at_ms={state.since} />
                  </>
                )}
              </span>
              {state.error !== undefined && <span class="reason">{state.error}</span>}
              {state.state?.health !== undefined && (
                <span class="reason">
                  health check: {state.state.health}
                  {state.state.healthReason !== undefined && <>, {state.state.healthReason}</>}
                </span>
              )}
            </li>
          ))}
        </ul>
      </Section>
      <Explanation name={name} version={version} />
      <Journal name={name} machines={[...states.keys()]} />
      <UnitFile name={name} version={hash ?? ""} />
      <Versions name={name} version={hash ?? ""} desiredState={desiredState ?? "inactive"} />
    </>
  );
}
