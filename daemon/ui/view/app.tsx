/**
 * One application: its roll-out, units and versions.
 *
 * @module
 */

import { isTemplate } from "../../../systemd/unit_name.ts";
import type { AppEntity, RolloutEntity } from "../../api/v1/types.ts";
import { readApp } from "../api/client.ts";
import { access } from "../api/session.ts";
import { present } from "../api/stream.ts";
import { conditionOf } from "../model/condition.ts";
import { confirmAppRollback, RolloutActions } from "./action/rollout.tsx";
import { confirmScale } from "./action/scale.tsx";
import { UnitActions } from "./action/units.tsx";
import { Badge, Failure, Section, Time } from "./parts.tsx";
import { Progress } from "./progress.tsx";
import { unitAddress } from "./route.ts";
import { useRequest } from "./unit/request.ts";

/** The view of an application. */
export function App({ name }: { readonly name: string }) {
  const rollout = present().rollouts.get(name);
  const { value: app, error } = useRequest(() => readApp(name), `${rollout?.id} ${rollout?.status}`);
  return (
    <>
      <h1>{name}</h1>
      <Failure error={error} />
      {rollout && <Rollout rollout={rollout} />}
      {app && (
        <Section title={`Units (${app.units?.length ?? 0})`} id="app-units">
          <UnitActions
            units={(app.units ?? []).flatMap(({ name }) => present().unit(name) ?? [])}
            label={`Actions on the units of ${name}`}
          />
          <ul class="problems">{app.units?.map(({ name }) => <UnitRow key={name} name={name} />)}</ul>
        </Section>
      )}
      {app && <Versions app={app} />}
    </>
  );
}

function UnitRow({ name }: { readonly name: string }) {
  const unit = present().unit(name);
  return (
    <li>
      {unit && <Badge condition={conditionOf(unit)} />} <a href={unitAddress(name)}>{name}</a>
      {access.value === "write" && isTemplate(name) && (
        <span class="buttons">
          <button type="button" aria-label={`Scale ${name}`} onClick={() => void confirmScale(name)}>Scale</button>
        </span>
      )}
    </li>
  );
}

function Rollout({ rollout }: { readonly rollout: RolloutEntity }) {
  const { steps = [] } = rollout;
  return (
    <Section title="Roll-out" id="rollout">
      <Progress rollout={rollout} />
      <RolloutActions rollout={rollout} />
      <table>
        <thead>
          <tr>
            <th scope="col">Unit</th>
            <th scope="col">Change</th>
            <th scope="col">Progress</th>
          </tr>
        </thead>
        <tbody>
          {steps.map(({ name, change, state, machines }) => (
            <tr key={name}>
              <td>
                <a href={unitAddress(name)}>{name}</a>
              </td>
              <td>{change}</td>
              <td>
                {state}
                {machines && <>, {machines.healthy} of {machines.total} machines</>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Section>
  );
}

function Versions({ app: { name, versions = [] } }: { readonly app: AppEntity }) {
  return (
    <Section title="Versions" id="app-versions">
      {versions.length === 0 && <p class="empty">No roll-out has ended with changes yet.</p>}
      <ul class="problems">
        {versions.map(({ version, what, changed, units }, index) => (
          <li key={version}>
            <b>Version {version}</b> <span class="kind">{index === 0 ? "current" : what}</span>
            <span class="why">
              {units.length} {units.length === 1 ? "unit" : "units"} changed
              {changed && (
                <>
                  , <Time at_ms={changed.at} /> by {changed.by}
                </>
              )}
            </span>
            {index > 0 && access.value === "write" && (
              <span class="buttons">
                <button type="button" onClick={() => confirmAppRollback(name, version)}>Roll back to it</button>
              </span>
            )}
          </li>
        ))}
      </ul>
    </Section>
  );
}
