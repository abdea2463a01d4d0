/**
 * What a user may do with a machine. A client that may only read sees no action.
 *
 * @module
 */

import { useState } from "preact/hooks";
import type { DrainEntity, DrainRequest, MachineEntity } from "../../../api/v1/types.ts";
import {
  cordonMachine,
  drainMachine,
  labelMachine,
  previewDrain,
  uncordonMachine,
  undrainMachine,
} from "../../api/client.ts";
import { access } from "../../api/session.ts";
import { present } from "../../api/stream.ts";
import { confirm, type Preview } from "../confirm.tsx";
import { LeavingUnit } from "../drain.tsx";
import { machineName } from "../parts.tsx";
import { PlanList, planned } from "../plan.tsx";
import { countOf, secondsOf, Switch, textOf, TextOption } from "./options.tsx";

/** Returns what can be done with a machine; `machine` is absent while it is not in the cluster. */
export function actionsOnMachine(
  id: string,
  machine: MachineEntity | undefined,
): readonly { readonly verb: string; readonly ask: () => void }[] {
  if (present().drains.has(id)) {
    return [
      ...machine ? [{ verb: "Change the drain", ask: () => confirmDrain(id, true) }] : [],
      { verb: "Undrain", ask: () => confirmUndrain(id) },
    ];
  }
  if (!machine) return [];
  const cordon = machine.cordon
    ? { verb: "Uncordon", ask: () => confirmUncordon(id) }
    : { verb: "Cordon", ask: () => confirmCordon(id) };
  return [cordon, { verb: "Drain", ask: () => confirmDrain(id, false) }];
}

/** The buttons of a machine. */
export function MachineActions({ id, machine }: { readonly id: string; readonly machine: MachineEntity | undefined }) {
  const actions = actionsOnMachine(id, machine);
  if (access.value !== "write" || actions.length === 0) return null;
  return (
    <div class="buttons" role="group" aria-label="Actions on the machine">
      {actions.map(({ verb, ask }) => <button key={verb} type="button" onClick={ask}>{verb}</button>)}
    </div>
  );
}

const why = <TextOption name="why" label="Reason, for others to read" placeholder="none" isFree />;

function confirmCordon(id: string): void {
  confirm({
    title: `Cordon ${machineName(id)}?`,
    note: "The machine takes no new units, and keeps those that it has.",
    options: why,
    verb: "Cordon",
    preview: () => planned({ cordon: [id] }, (_plan, options) => cordonMachine(id, textOf(options, "why"))),
  });
}

function confirmUncordon(id: string): void {
  confirm({
    title: `Uncordon ${machineName(id)}?`,
    note: "The machine takes units again. No unit is moved back.",
    verb: "Uncordon",
    preview: () => planned({ uncordon: [id] }, () => uncordonMachine(id)),
  });
}

function confirmUndrain(id: string): void {
  confirm({
    title: `End the drain of ${machineName(id)}?`,
    note: "Units that have not moved stay, and no unit is moved back.",
    options: <Switch name="keepCordon" label="Keep the machine cordoned: it takes no new units" />,
    verb: "Undrain",
    preview: (options) => {
      const keepsCordon = options.has("keepCordon");
      return planned(keepsCordon ? { cordon: [id] } : { uncordon: [id] }, () => undrainMachine(id, keepsCordon));
    },
  });
}

function confirmDrain(id: string, isDrained: boolean): void {
  confirm({
    title: isDrained ? `Change the drain of ${machineName(id)}?` : `Drain ${machineName(id)}?`,
    note: "The machine takes no new units, and its units move. Each starts on its new machine first, where it may.",
    options: (
      <>
        <Switch name="force" label="Stop units that fit on no other machine, after all others have moved" />
        <Switch name="ignoreGlobals" label="Leave global units on the machine" />
        <TextOption name="deadline" label="After this time, wait for no unit" placeholder="never; or 10m" />
        <TextOption name="maxParallel" label="Units that move at once" placeholder="10" />
        {why}
      </>
    ),
    verb: isDrained ? "Change" : "Drain",
    preview: async (options) => drainPreview(await previewDrain(drainRequest(id, options)), id),
  });
}

function drainRequest(id: string, options: FormData): DrainRequest {
  const deadline = secondsOf(options, "deadline", "After this time, wait for no unit");
  const maxParallel = countOf(options, "maxParallel", "Units that move at once");
  const reason = textOf(options, "why");
  return {
    machines: [id],
    ...options.has("force") && { force: true },
    ...options.has("ignoreGlobals") && { ignoreGlobals: true },
    ...deadline !== undefined && { deadline },
    ...maxParallel !== undefined && { maxParallel },
    ...reason !== "" && { why: reason },
  };
}

function drainPreview({ units = [], globals = [], force }: DrainEntity, id: string): Preview {
  const blocked = units.filter(({ state }) => state === "blocked").length;
  return {
    shown: (
      <>
        {blocked > 0 && (
          <p class="failure">
            {blocked} {blocked === 1 ? "unit fits" : "units fit"} on no other machine and{" "}
            {force ? "will be stopped after all others have moved." : "will stay until there is room."}
          </p>
        )}
        {units.length + globals.length === 0 ? <p class="plan">No unit is on the machine.</p> : (
          <PlanList>
            {units.map((unit) => <LeavingUnit key={unit.name} unit={unit} isLinked={false} />)}
            {globals.map((name) => (
              <li key={name}>
                <b>{name}</b>
                <span class="reason">global: stops when all others have moved</span>
              </li>
            ))}
          </PlanList>
        )}
      </>
    ),
    act: (options) => drainMachine(drainRequest(id, options)),
  };
}

/** The form for a new or changed key of a machine's metadata. */
export function LabelForm({ id }: { readonly id: string }) {
  const [text, setText] = useState("");
  const submit = (event: Event) => {
    event.preventDefault();
    const at = text.indexOf("=");
    confirmLabel(id, text.slice(0, at), text.slice(at + 1), () => setText((now) => now === text ? "" : now));
  };
  return (
    <form class="inline" onSubmit={submit}>
      <label class="hidden" for="new-label">New metadata</label>
      <input
        id="new-label"
        placeholder="key=value"
        title="A key of letters, digits, _, . and -, then = and a value"
        required
        pattern="[A-Za-z0-9_.\-]+=.+"
        autocomplete="off"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <button type="submit">Add</button>
    </form>
  );
}

/** Asks for confirmation, and sets a key of a machine's metadata or, without a value, hides it. */
export function confirmLabel(id: string, key: string, value: string | undefined, done?: () => void): void {
  confirm({
    title: value === undefined
      ? `Remove ${key} from ${machineName(id)}?`
      : `Set ${key}=${value} on ${machineName(id)}?`,
    note: value === undefined
      ? "The key is hidden, also if the machine's configuration has it."
      : "The value takes precedence over that of the machine's configuration.",
    verb: value === undefined ? "Remove" : "Set",
    preview: () =>
      planned({ labels: [{ machineID: id, key, ...value !== undefined && { value } }] }, async () => {
        await labelMachine(id, key, value);
        done?.();
      }),
  });
}
