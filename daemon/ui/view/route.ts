/**
 * The view that the page shows, named by the fragment of its address.
 *
 * @module
 */

import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";

/** A view, and the unit or machine that it shows. */
export interface Route {
  readonly view: "overview" | "units" | "unit" | "machine" | "apps" | "app" | "events" | "submit" | "unknown";
  /** The name of the unit or application, or the ID of the machine; "" for other views. */
  readonly name: string;
}

/** The view that is shown. */
export const route = signal<Route>({ view: "overview", name: "" });

/** Shows the view of the page's address, now and whenever it changes. */
export function followAddress(): void {
  const follow = () => {
    route.value = parseFragment(location.hash);
    const { view, name } = route.value;
    document.title = `${name || view} · fleet`;
  };
  follow();
  addEventListener("hashchange", follow);
}

/** Moves the focus to the heading of a view that the user has come to: keyboard and screen reader go on from there. */
export function useHeadingFocus(): void {
  const { view, name } = route.value;
  const isFirst = useRef(true);
  useLayoutEffect(() => {
    if (isFirst.current) return void (isFirst.current = false);
    // Before the view is painted: later, the user may have moved the focus already.
    const heading = document.querySelector<HTMLElement>("main h1");
    if (!heading) return;
    heading.tabIndex = -1;
    heading.focus();
  }, [view, name]);
}

function parseFragment(text: string): Route {
  const [folder = "", name, ...rest] = text.replace(/^#?\/?/, "").split("/").map(decoded);
  if (rest.length > 0) return { view: "unknown", name: "" };
  if (name !== undefined && name !== "") {
    const view = ({ units: "unit", machines: "machine", apps: "app" } as const)[folder];
    return view === undefined ? { view: "unknown", name: "" } : { view, name };
  }
  if (folder === "") return { view: "overview", name: "" };
  const view = (["units", "apps", "events", "submit"] as const).find((each) => each === folder);
  return { view: view ?? "unknown", name: "" };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Returns the address of a unit's view. */
export const unitAddress = (name: string): string => `#/units/${encodeURIComponent(name)}`;

/** Returns the address of a machine's view. */
export const machineAddress = (id: string): string => `#/machines/${encodeURIComponent(id)}`;

/** Returns the address of an application's view. */
export const appAddress = (name: string): string => `#/apps/${encodeURIComponent(name)}`;
