/**
 * Unit files that the user pastes, drops or chooses: submitted one by one, or applied as an application.
 *
 * @module
 */

import { signal } from "@preact/signals";
import type { DeployedUnit } from "../../../registry/deployment.ts";
import { putContent, putUnit } from "../api/client.ts";
import { access } from "../api/session.ts";
import { type Deployed, type Draft, looksLikeUnitFile, unitsOf, withDrafts } from "../model/files.ts";
import { filesOf } from "../model/folder.ts";
import { Switch } from "./action/options.tsx";
import { rollOut, rolloutOptions } from "./action/rollout.tsx";
import { naming } from "./action/units.tsx";
import { confirm } from "./confirm.tsx";
import { chosenFiles, type ReadFiles, transferredFiles } from "./files.ts";
import { planned } from "./plan.tsx";
import { appAddress, route } from "./route.ts";

type State = DeployedUnit["desiredState"];

const empty: Draft = { name: "", text: "" };

// Signals of the page, not of the view: a draft is kept while the user looks at another view.
const drafts = signal<readonly Draft[]>([empty]);
const app = signal("");
const state = signal<State>("launched");
/** Sentences about mistakes in the files, and about files that were ignored. */
const problems = signal<readonly string[]>([]);
const isDropping = signal(false);

/** Adds files to the form, and shows it. */
function add({ files, problems: found, folder }: ReadFiles): void {
  try {
    drafts.value = withDrafts(drafts.value, files);
    if (app.value === "" && folder !== undefined) app.value = folder;
    problems.value = found;
  } catch (error) {
    problems.value = [(error as Error).message, ...found];
  }
  location.hash = "#/submit";
}

/** Opens the form with the file of a unit that exists. */
export function editFile(draft: Draft, owner = "", desiredState = "launched"): void {
  const isNew = drafts.value.every(({ name, text }) => name === "" && text === "");
  if (isNew) [app.value, state.value] = [owner, desiredState as State];
  add({ files: [draft], problems: [] });
}

/** Takes files that are dropped on any view, or pasted. Without this, the browser would leave the page for the file. */
function takeFiles(event: Event, transfer: DataTransfer): void {
  event.preventDefault();
  isDropping.value = false;
  if (!canAdd()) return;
  const failed = (error: Error) => add({ files: [], problems: [`The files cannot be read: ${error.message}.`] });
  transferredFiles(transfer).then(add, failed);
}

/** False in a dialog too: its plan is that of the form as it is. */
const canAdd = () => access.value === "write" && !document.querySelector("dialog[open]");

addEventListener("drop", (event) => {
  if (event.dataTransfer?.types.includes("Files")) takeFiles(event, event.dataTransfer);
});
addEventListener("paste", (event) => {
  const { clipboardData: transfer, target } = event;
  if (!transfer) return;
  const text = transfer.getData("text/plain");
  // Text for a field goes there. The clipboard may also have a picture of it.
  if (text !== "" && target instanceof HTMLElement && target.matches("input, textarea")) return;
  if (transfer.types.includes("Files")) takeFiles(event, transfer);
  else if (canAdd() && looksLikeUnitFile(text)) {
    event.preventDefault();
    add({ files: [{ name: "", text }], problems: [] });
  }
});
addEventListener("dragover", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  isDropping.value = true;
});
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) isDropping.value = false;
});

/** The form for new or changed unit files. */
export function Submit() {
  if (access.value !== "write") {
    return (
      <>
        <h1>Submit files</h1>
        <p class="empty">This client may only read.</p>
      </>
    );
  }
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      ask(await unitsOf(drafts.value, state.value), app.value.trim());
      problems.value = [];
    } catch (error) {
      problems.value = [(error as Error).message];
    }
  };
  return (
    <form onSubmit={submit}>
      <h1>Submit files</h1>
      <div class={`drop ${isDropping.value ? "over" : ""}`}>
        Drop or paste unit files or a folder of them on this page, write them below, or{" "}
        <label class="file-button">
          choose files
          <input
            type="file"
            class="hidden"
            multiple
            onChange={({ currentTarget }) => {
              void chosenFiles([...currentTarget.files ?? []]).then(add);
              currentTarget.value = "";
            }}
          />
        </label>. A browser leaves out symbolic links in a folder.
      </div>
      {problems.value.length > 0 && (
        <div class="failure" role="alert">
          <ul>{problems.value.map((problem) => <li key={problem}>{problem}</li>)}</ul>
        </div>
      )}
      {drafts.value.map((draft, index) => <DraftFields key={index} draft={draft} index={index} />)}
      <div class="filter">
        <label for="app">Application</label>
        <input
          id="app"
          placeholder="none"
          value={app.value}
          onInput={(event) => app.value = event.currentTarget.value}
        />
        {app.value.trim() === "" && <StateField />}
      </div>
      <div class="buttons">
        <button type="submit" class="primary">Show the plan</button>
        <button type="button" onClick={() => drafts.value = [...drafts.value, empty]}>Another file</button>
      </div>
    </form>
  );
}

const StateField = () => (
  <>
    <label for="state">Desired state</label>
    <select id="state" value={state.value} onChange={(event) => state.value = event.currentTarget.value as State}>
      <option value="launched">launched: the units run</option>
      <option value="loaded">loaded: on a machine, and stopped</option>
      <option value="inactive">inactive: only in the cluster</option>
    </select>
  </>
);

function DraftFields({ draft, index }: { readonly draft: Draft; readonly index: number }) {
  const change = (changed: Partial<Draft>) =>
    drafts.value = drafts.value.map((each, at) => at === index ? { ...each, ...changed } : each);
  const attached = draft.folder ? filesOf(draft.name.trim(), draft.folder) : [];
  const remove = () => drafts.value = drafts.value.length > 1 ? drafts.value.toSpliced(index, 1) : [empty];
  return (
    <fieldset>
      <legend>File {index + 1}</legend>
      <label for={`name-${index}`}>Name</label>
      <span class="filter">
        <input
          id={`name-${index}`}
          class="grow"
          required
          placeholder="web.service"
          autocomplete="off"
          value={draft.name}
          onInput={(event) => change({ name: event.currentTarget.value })}
        />
        <button type="button" aria-label={`Remove ${draft.name || `file ${index + 1}`}`} onClick={remove}>
          Remove
        </button>
      </span>
      <label for={`text-${index}`}>Text</label>
      <textarea
        id={`text-${index}`}
        required
        rows={10}
        spellcheck={false}
        value={draft.text}
        onInput={(event) => change({ text: event.currentTarget.value })}
      />
      {attached.length > 0 && <span class="note">From folder files/{draft.name.trim()}: {attached.join(", ")}</span>}
    </fieldset>
  );
}

function ask(deployed: Deployed, owner: string): void {
  const submitted = drafts.value;
  const { units } = deployed;
  if (owner === "") askForEach(deployed, submitted);
  else {
    confirm({
      title: `Apply ${owner}?`,
      note: "The units are changed in batches, and each batch must be healthy before the next.",
      options: (
        <>
          <Switch name="prune" label={`Destroy units of ${owner} that no file names`} />
          {rolloutOptions}
        </>
      ),
      verb: "Apply",
      preview: (options) =>
        planned({ units, app: owner, prune: options.has("prune") }, async (plan, options) => {
          await uploadContents(deployed);
          await rollOut(owner, "apply", plan, units, options);
          leave(submitted, appAddress(owner));
        }),
    });
  }
}

/** The verb of the button for each desired state. */
const verbs: Readonly<Record<State, string>> = { launched: "Start", loaded: "Load", inactive: "Submit" };

function askForEach(deployed: Deployed, submitted: readonly Draft[]): void {
  const { units } = deployed;
  const verb = verbs[units.find(({ desiredState }) => desiredState === "launched") ? "launched" : state.value];
  const [first, second] = units;
  confirm({
    title: `${verb} ${first && !second ? first.name : `${units.length} units`}?`,
    verb,
    preview: () =>
      planned({ units }, async ({ units: plan = [] }) => {
        await uploadContents(deployed);
        const pending = new Set(plan.filter(({ change }) => change !== "none").map(({ name }) => name));
        for (const unit of units) if (pending.has(unit.name)) await naming(unit.name, putUnit(unit), units.length);
        leave(submitted, "#/units");
      }),
  });
}

/** The units that name contents can be stored when these are. */
async function uploadContents({ contents }: Deployed): Promise<void> {
  for (const [hash, bytes] of contents) await putContent(hash, bytes);
}

/** Empties the form and shows the result, unless the user has closed the dialog and gone on with something else. */
function leave(submitted: readonly Draft[], address: string): void {
  if (drafts.value !== submitted) return;
  drafts.value = [empty];
  app.value = "";
  state.value = "launched";
  if (route.value.view === "submit") location.hash = address;
}
