/**
 * The program of the site's pages: color scheme, menu of narrow screens, search. It runs before the page is drawn, so that
 * the chosen color scheme is there from the start.
 *
 * @module
 */

import { startSearch } from "./search.ts";

/** The path from this page to the root of the site. */
const root = document.currentScript?.dataset["root"] ?? "";
const schemeKey = "fleet-docs-scheme";

/** Returns the scheme that the reader chose; undefined without a choice, or in a browser that stores nothing. */
function chosenScheme(): string | undefined {
  try {
    return localStorage.getItem(schemeKey) ?? undefined;
  } catch {
    return undefined;
  }
}

function storeScheme(scheme: string): void {
  try {
    localStorage.setItem(schemeKey, scheme);
  } catch {
    // The choice holds for this page only.
  }
}

const isDark = () =>
  (document.documentElement.dataset["scheme"] ??
    (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function startScheme(button: HTMLElement): void {
  const label = () => button.textContent = isDark() ? "Light mode" : "Dark mode";
  button.addEventListener("click", () => {
    const scheme = isDark() ? "light" : "dark";
    document.documentElement.dataset["scheme"] = scheme;
    storeScheme(scheme);
    label();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
  label();
}

function startMenu(button: HTMLElement): void {
  const open = (isOpen: boolean) => {
    document.body.classList.toggle("menu-open", isOpen);
    button.setAttribute("aria-expanded", `${isOpen}`);
  };
  button.addEventListener("click", () => open(!document.body.classList.contains("menu-open")));
  addEventListener("keydown", ({ key }) => {
    if (key === "Escape") open(false);
  });
}

const scheme = chosenScheme();
if (scheme !== undefined) document.documentElement.dataset["scheme"] = scheme;
addEventListener("DOMContentLoaded", () => {
  startScheme(document.getElementById("scheme")!);
  startMenu(document.getElementById("menu")!);
  startSearch(root);
});
