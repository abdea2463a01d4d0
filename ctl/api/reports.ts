/**
 * Reports of a server about itself and about units on its machines, as the client returns them. Types only.
 *
 * @module
 */

/** Text from a machine, or the reason why this server cannot provide it: "" if, like fleet 1.0, it does not support the request. */
export type UnitReport<Text> = { readonly text: Text; readonly why?: undefined } | {
  readonly text?: undefined;
  readonly why: string;
};

/** The health of a server. */
export interface Health {
  /** True if it can serve the cluster; undefined if it does not report it. */
  readonly ready?: boolean;
  /** `ok`, or the reason why it is not ready; never empty. */
  readonly reason: string;
  /** True if it runs units on the systemd of its user. */
  readonly isUser?: boolean;
  /** Its version; undefined if it does not report it. */
  readonly version?: string;
  /** Time of its clock in the response, milliseconds since the epoch; undefined if it does not report it. */
  readonly wall_ms?: number;
}
