/**
 * Small parts that several views use.
 *
 * @module
 */

import type { ComponentChildren, JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { present } from "../api/stream.ts";
import { type Condition, conditionOf, symbols, type UnitView } from "../model/condition.ts";
import { machineAddress, unitAddress } from "./route.ts";

/** The condition of a unit, as a symbol and a word. */
export const Badge = ({ condition }: { readonly condition: Condition }) => (
  <span class={`badge ${condition}`}>
    <span aria-hidden="true">{symbols[condition]}</span> {condition}
  </span>
);

/** A link to a unit, with the symbol of its condition. */
export const UnitLink = ({ unit }: { readonly unit: UnitView }) => {
  const condition = conditionOf(unit);
  return (
    <a class="unit-link" href={unitAddress(unit.name)}>
      <span class={`symbol ${condition}`} role="img" aria-label={condition}>{symbols[condition]}</span>
      {unit.name}
    </a>
  );
};

/** Returns how people call a machine: its `name` or `hostname` metadata or else its address, and the start of its ID. */
export function machineName(id: string): string {
  const machine = present().machines.get(id);
  const name = machine?.metadata?.["name"] ?? machine?.metadata?.["hostname"] ?? machine?.primaryIP;
  return name === undefined ? `${id.slice(0, 8)}…` : `${name} (${id.slice(0, 8)}…)`;
}

/** A link to a machine. */
export const MachineLink = ({ id }: { readonly id: string }) => <a href={machineAddress(id)}>{machineName(id)}</a>;

/** A point in time, as the browser's language writes it; without the date if that is today's. */
export const Time = ({ at_ms }: { readonly at_ms: number }) => {
  const at = new Date(at_ms);
  const isToday = at.toDateString() === new Date().toDateString();
  return (
    <time dateTime={at.toISOString()} title={at.toLocaleString()}>
      {isToday ? at.toLocaleTimeString() : at.toLocaleString()}
    </time>
  );
};

/** A heading with its contents. */
export const Section = ({ title, id, children }: {
  readonly title: string;
  readonly id: string;
  readonly children: ComponentChildren;
}) => (
  <section aria-labelledby={id}>
    <h2 id={id}>{title}</h2>
    {children}
  </section>
);

/** An error of a request, as an alert. */
export const Failure = ({ error }: { readonly error: string | undefined }) =>
  error === undefined ? null : <p class="failure" role="alert">{error}</p>;

/** The height of a row in a {@link RowList}, pixels; the style sheet has the same. */
const row_px = 36;

/** A list of any length, of which only the visible rows are in the document. */
export function RowList<Item>({ items, label, row, keyOf }: {
  readonly items: readonly Item[];
  readonly label: string;
  readonly row: (item: Item) => JSX.Element;
  readonly keyOf: (item: Item) => string | number;
}) {
  const frame = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  useLayoutEffect(() => {
    const element = frame.current!;
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const first = Math.max(0, Math.floor(top / row_px) - 10);
  const visible = items.slice(first, first + Math.ceil(height / row_px) + 20);
  return (
    <div
      class="rows"
      ref={frame}
      tabIndex={0}
      role="list"
      aria-label={label}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
    >
      <div style={{ height: `${items.length * row_px}px` }}>
        <div style={{ transform: `translateY(${first * row_px}px)` }}>
          {visible.map((item, index) => (
            <div
              class="row"
              role="listitem"
              key={keyOf(item)}
              aria-setsize={items.length}
              aria-posinset={first + index + 1}
            >
              {row(item)}
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}
