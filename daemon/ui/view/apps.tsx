/**
 * All applications.
 *
 * @module
 */

import { readApps } from "../api/client.ts";
import { present } from "../api/stream.ts";
import { Progress } from "./progress.tsx";
import { Failure, Time } from "./parts.tsx";
import { appAddress } from "./route.ts";
import { useRequest } from "./unit/request.ts";

/** The view of all applications. */
export function Apps() {
  const { rollouts } = present();
  const statuses = [...rollouts].map(([app, { id, status }]) => `${app} ${id} ${status}`).join();
  const { value: apps, error } = useRequest(readApps, statuses);
  return (
    <>
      <h1>Apps</h1>
      <Failure error={error} />
      {apps?.length === 0 && (
        <p class="empty">
          There is no application. <code>fleetctl apply DIRECTORY</code> makes one, or{" "}
          <a href="#/submit">submit files</a>.
        </p>
      )}
      <ul class="problems">
        {apps?.map(({ name, size, version, changed }) => (
          <li key={name}>
            <a href={appAddress(name)}>{name}</a>
            <span class="why">
              {size} {size === 1 ? "unit" : "units"}, version {version}
              {changed && (
                <>
                  , <Time at_ms={changed.at} /> by {changed.by}
                </>
              )}
            </span>
            {rollouts.has(name) && (
              <div class="reason">
                <Progress rollout={rollouts.get(name)!} />
              </div>
            )}
          </li>
        ))}
      </ul>
    </>
  );
}
