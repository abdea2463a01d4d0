/**
 * The versions of a unit: what each has changed, and the way back.
 *
 * @module
 */

import { useState } from "preact/hooks";
import type { VersionEntity } from "../../../api/v1/types.ts";
import { putUnit, readHistory } from "../../api/client.ts";
import { access } from "../../api/session.ts";
import { unitText } from "../../model/unit_text.ts";
import { confirm } from "../confirm.tsx";
import { Diff } from "../diff.tsx";
import { Failure, Section, Time } from "../parts.tsx";
import { planned } from "../plan.tsx";
import { useRequest } from "./request.ts";

/** The versions of a unit; read again when `version` changes. */
export function Versions({ name, version, desiredState }: {
  readonly name: string;
  readonly version: string;
  readonly desiredState: string;
}) {
  const { value, error } = useRequest(() => readHistory(name), version);
  const [shown, setShown] = useState<number>();
  const versions = value?.versions ?? [];
  return (
    <Section title="Versions" id="versions">
      <Failure error={error} />
      <ul class="problems">
        {versions.map(({ version, changed, missing }, index) => (
          <li key={version}>
            <b>Version {version}</b> {index === 0 && <span class="kind">current</span>}
            <span class="why">
              {changed && (
                <>
                  <Time at_ms={changed.at} /> by {changed.by}
                </>
              )}
            </span>
            {missing ? <span class="reason">The store no longer has this file.</span> : (
              <span class="buttons">
                {olderThan(versions, index) && (
                  <button
                    type="button"
                    aria-expanded={shown === version}
                    onClick={() => setShown(shown === version ? undefined : version)}
                  >
                    Changes
                  </button>
                )}
                {index > 0 && access.value === "write" && (
                  <button
                    type="button"
                    onClick={() => askRollback(name, version, desiredState)}
                  >
                    Roll back to it
                  </button>
                )}
              </span>
            )}
            {shown === version && !missing && (
              <Changes name={name} from={olderThan(versions, index)?.version} to={version} />
            )}
          </li>
        ))}
      </ul>
    </Section>
  );
}

/** Returns the newest of the older versions whose file the store has: a daemon that records no versions leaves gaps. */
function olderThan(versions: readonly VersionEntity[], index: number): VersionEntity | undefined {
  return versions.slice(index + 1).find(({ missing }) => !missing);
}

async function fileOf(name: string, version: number): Promise<NonNullable<VersionEntity["options"]>> {
  const { versions: [found] } = await readHistory(name, version);
  if (!found?.options) throw new Error(`The store no longer has the file of version ${version}.`);
  return found.options;
}

function Changes(
  { name, from, to }: { readonly name: string; readonly from: number | undefined; readonly to: number },
) {
  const { value, error } = useRequest(
    async () => from === undefined ? undefined : await Promise.all([fileOf(name, from), fileOf(name, to)]),
    `${from} ${to}`,
  );
  if (!value) return <Failure error={error} />;
  return (
    <>
      {from !== to - 1 && (
        <p class="note">The store no longer has the version before: these are the changes since version {from}.</p>
      )}
      <Diff before={unitText(value[0])} after={unitText(value[1])} label={`Changes of version ${to}`} />
    </>
  );
}

function askRollback(name: string, version: number, desiredState: string): void {
  confirm({
    title: `Roll ${name} back to version ${version}?`,
    note: "The unit gets the file of then, as a new version, and keeps its desired state.",
    verb: "Roll back",
    async preview() {
      const unit = { name, desiredState, options: await fileOf(name, version) };
      return await planned({ units: [unit] }, () => putUnit(unit));
    },
  });
}
