/**
 * The search over views, applications, machines, units and actions on them: `/` or Ctrl-K.
 *
 * @module
 */

import { signal } from "@preact/signals";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { present } from "../api/stream.ts";
import { access } from "../api/session.ts";
import type { UnitView } from "../model/condition.ts";
import { actionsOnMachine } from "./action/machine.tsx";
import { confirmRebalance } from "./action/rebalance.tsx";
import { actionsOn } from "./action/units.tsx";
import { machineName } from "./parts.tsx";
import { appAddress, machineAddress, unitAddress } from "./route.ts";

const isOpen = signal(false);

/** Opens the search. */
export function openPalette(): void {
  isOpen.value = true;
}

addEventListener("keydown", (event) => {
  const { target } = event;
  const isTyping = target instanceof HTMLElement && target.matches("input, select, textarea");
  const asks = event.key === "k" && (event.ctrlKey || event.metaKey) || event.key === "/" && !isTyping;
  if (!asks || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  openPalette();
});

interface Result {
  readonly kind: string;
  readonly text: string;
  readonly open: () => void;
}

const goTo = (kind: string, text: string, address: string): Result => ({
  kind,
  text,
  open: () => void (location.hash = address),
});

const views: readonly Result[] = [
  goTo("view", "Overview", "#/"),
  goTo("view", "Units", "#/units"),
  goTo("view", "Apps", "#/apps"),
  goTo("view", "Events", "#/events"),
];

/** The most results that are shown. */
const maxResults = 12;

/** Returns what a text finds: views, applications, machines and units by their names, and actions such as `stop web`. */
function resultsOf(text: string): readonly Result[] {
  const wanted = text.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const contains = (found: string, words: readonly string[]) =>
    words.every((word) => found.toLowerCase().includes(word));
  const units = present().units();
  const apps = new Set(units.flatMap(({ unit }) => unit.app ?? []));
  const places = [
    ...views,
    ...[...apps].map((name) => goTo("app", name, appAddress(name))),
    ...[...present().machines.keys()].map((id) => goTo("machine", `${machineName(id)} ${id}`, machineAddress(id))),
    ...units.map(({ name }) => goTo("unit", name, unitAddress(name))),
  ].filter((place) => contains(place.text, wanted));
  return (access.value === "write" ? [...actionsFor(wanted, contains, units), ...places] : places).slice(0, maxResults);
}

function actionsFor(
  wanted: readonly string[],
  contains: (text: string, words: readonly string[]) => boolean,
  units: readonly UnitView[],
): readonly Result[] {
  if (wanted.length === 0) return [];
  const [verb = "", ...name] = wanted;
  const isVerb = (text: string) => text.toLowerCase().startsWith(verb);
  const action = (text: string, open: () => void): Result => ({ kind: "action", text, open });
  const general = [
    goTo("action", "Submit files", "#/submit"),
    action("Rebalance the cluster", confirmRebalance),
  ].filter(({ text }) => contains(text, wanted));
  if (name.length === 0) return general;
  const onMachines = [...present().machines].filter(([id]) => contains(`${machineName(id)} ${id}`, name))
    .flatMap(([id, machine]) =>
      actionsOnMachine(id, machine).filter(({ verb }) => isVerb(verb))
        .map(({ verb, ask }) => action(`${verb}: ${machineName(id)}`, ask))
    );
  const onUnits = units.filter((unit) => contains(unit.name, name)).slice(0, maxResults).flatMap((unit) =>
    actionsOn([unit]).filter(({ verb }) => isVerb(verb)).map(({ verb, ask }) => action(`${verb}: ${unit.name}`, ask))
  );
  return [...general, ...onMachines, ...onUnits];
}

/** The place of the search in the page. */
export function Palette() {
  return isOpen.value ? <Search /> : null;
}

function Search() {
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState("");
  const [wanted, setChosen] = useState(0);
  useLayoutEffect(() => dialog.current!.showModal(), []);
  const results = resultsOf(text);
  // The results may have become fewer since one was chosen.
  const chosen = Math.max(0, Math.min(wanted, results.length - 1));
  const open = (result: Result | undefined) => {
    if (!result) return;
    // An action opens a dialog of its own, which returns the focus to where it is then.
    dialog.current!.close();
    result.open();
  };
  const move = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step === 0 || results.length === 0) return;
    event.preventDefault();
    setChosen((chosen + step + results.length) % results.length);
  };
  const submit = (event: Event) => {
    event.preventDefault();
    open(results[chosen]);
  };
  return (
    <dialog class="palette" ref={dialog} aria-label="Search" onClose={() => isOpen.value = false}>
      <form onSubmit={submit}>
        <input
          type="text"
          role="combobox"
          list={undefined}
          aria-label="Name, view or action"
          aria-expanded="true"
          aria-controls="results"
          aria-activedescendant={results.length > 0 ? `result-${chosen}` : undefined}
          placeholder="Name, view or action"
          value={text}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setChosen(0);
          }}
          onKeyDown={move}
        />
      </form>
      <ul id="results" role="listbox" aria-label="Results">
        {results.map((result, index) => (
          <li
            key={`${result.kind} ${result.text}`}
            id={`result-${index}`}
            role="option"
            aria-selected={index === chosen}
            onClick={() => open(result)}
          >
            <span class="kind">{result.kind}</span> {result.text}
          </li>
        ))}
      </ul>
      {results.length === 0 && <p class="empty" role="status">Nothing has this name.</p>}
    </dialog>
  );
}
