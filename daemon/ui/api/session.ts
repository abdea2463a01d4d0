/**
 * The credentials of this page. A token is kept in the tab's sessionStorage: never in a cookie, and never in an address
 * that the browser remembers or sends.
 *
 * @module
 */

import { signal } from "@preact/signals";

const key = "fleet.token";

/** The role of this client; `unknown` until the API has answered, `signed-out` if it asks for a token. */
export const access = signal<"unknown" | "signed-out" | "read" | "write">("unknown");

/** The reason why the API refused the latest token; "" if it did not. */
export const refusal = signal("");

/** False if the API asks for something else than a token, which {@link refusal} names. */
export const takesToken = signal(true);

/** Returns the token to send; undefined without one. */
export function token(): string | undefined {
  return sessionStorage.getItem(key) ?? undefined;
}

/** Keeps a token, or forgets it. */
export function setToken(value: string | undefined): void {
  if (value === undefined) sessionStorage.removeItem(key);
  else sessionStorage.setItem(key, value);
}

/** Takes over the key that `fleetctl ui` puts into the fragment of its address, and removes it from the address bar. Returns true if there was one. */
export function takeKeyFromAddress(): boolean {
  const found = /^#key=([0-9a-f]+)$/.exec(location.hash);
  if (!found) return false;
  setToken(found[1]);
  history.replaceState(null, "", location.pathname);
  return true;
}
