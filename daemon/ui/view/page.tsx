/**
 * The frame around every view: navigation, the state of the connection, and sign-in.
 *
 * @module
 */

import { access } from "../api/session.ts";
import { lost_ms, present, problem } from "../api/stream.ts";
import { countConditions, symbols } from "../model/condition.ts";
import { App } from "./app.tsx";
import { Apps } from "./apps.tsx";
import { Dialog } from "./confirm.tsx";
import { Events } from "./events.tsx";
import { Machine } from "./machine.tsx";
import { Notices } from "./notices.tsx";
import { Overview } from "./overview.tsx";
import { openPalette, Palette } from "./palette.tsx";
import { Time } from "./parts.tsx";
import { route, useHeadingFocus } from "./route.ts";
import { Submit } from "./submit.tsx";
import { SignIn } from "./sign_in.tsx";
import { Unit } from "./unit.tsx";
import { condition, Units } from "./units.tsx";

/** The whole page. */
export function Page() {
  if (access.value === "signed-out") return <SignIn />;
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>Skip to the content</a>
      <header>
        <a class="home" href="#/">fleet</a>
        <nav aria-label="Views">
          {link("#/", "Overview", route.value.view === "overview")}
          {link("#/units", "Units", ["units", "unit"].includes(route.value.view))}
          {link("#/apps", "Apps", ["apps", "app"].includes(route.value.view))}
          {link("#/events", "Events", route.value.view === "events")}
          {access.value === "write" && link("#/submit", "Submit", route.value.view === "submit")}
        </nav>
        <Health />
        <button type="button" class="search" onClick={openPalette}>
          Search <kbd>/</kbd>
        </button>
        {access.value === "read" && <span class="note">read only</span>}
      </header>
      <div class="top">
        <Connection />
        <Notices />
      </div>
      <main id="main" tabIndex={-1}>
        <View />
      </main>
      <Palette />
      <Dialog />
    </>
  );
}

/** Says that the connection is lost, and how old everything below is. */
function Connection() {
  if (problem.value === "") return null;
  return (
    <p class="connection" role="status">
      {lost_ms.value === 0 ? <>Connecting: {problem.value}…</> : (
        <>
          Connection lost: {problem.value}. What is shown is as of <Time at_ms={lost_ms.value} />. Trying again…
        </>
      )}
    </p>
  );
}

/** Moves the focus without a change of the fragment, which names the view. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")!.focus();
}

const link = (address: string, text: string, isCurrent: boolean) => (
  <a href={address} aria-current={isCurrent ? "page" : undefined}>{text}</a>
);

/** The number of machines, and of units by condition, each with a link to these units. */
function Health() {
  if (!present().isSynced) return <p class="health" />;
  const counts = [...countConditions(present().units())];
  const machines = present().machines.size;
  return (
    <p class="health" aria-label="Health of the cluster">
      <span>{machines} {machines === 1 ? "machine" : "machines"}</span>
      {counts.map(([each, count]) => (
        <a key={each} class={each} href="#/units" onClick={() => condition.value = each}>
          <span aria-hidden="true">{symbols[each]}</span> {count} {each}
        </a>
      ))}
    </p>
  );
}

function View() {
  const { view, name } = route.value;
  useHeadingFocus();
  if (!present().isSynced) return <p class="empty" aria-busy="true">Reading the cluster…</p>;
  switch (view) {
    case "overview":
      return <Overview />;
    case "units":
      return <Units />;
    case "unit":
      return <Unit key={name} name={name} />;
    case "machine":
      return <Machine key={name} id={name} />;
    case "apps":
      return <Apps />;
    case "app":
      return <App key={name} name={name} />;
    case "submit":
      return <Submit />;
    case "events":
      return <Events />;
    case "unknown":
      return (
        <p class="empty">
          There is no such view. <a href="#/">To the overview</a>
        </p>
      );
  }
}
