/**
 * The operations of the API for the maintenance of machines.
 *
 * @module
 */

import { answer, operation, type Operations, type Parameter, query, string } from "./operation.ts";
import * as types from "./types.ts";

const machineInPath: Parameter = {
  ...{ name: "machineID", in: "path", required: true, schema: string },
  description: "The ID of a machine, present or not.",
};

export const maintenanceOperations: Operations = {
  "GET /cordons": operation("listCordons", "Lists the machines that take no new units, by ID, also absent ones.", {
    answers: { 200: answer("The cordons.", types.CordonsEntity) },
  }),
  "PUT /machines/{machineID}/cordon": operation(
    "cordonMachine",
    "Cordons a machine: it takes no new jobs, and keeps those that it has. Global units are not affected. The machine " +
      "may be absent.",
    {
      parameters: [machineInPath],
      body: types.CordonRequest,
      answers: { 204: { description: "The machine is cordoned." } },
      errors: [413, 415, 507],
    },
  ),
  "DELETE /machines/{machineID}/cordon": operation("uncordonMachine", "Lets a machine take new units again.", {
    parameters: [machineInPath],
    answers: { 204: { description: "The machine takes new units." } },
    errors: [404, 409, 507],
  }),
  "GET /drains": operation("listDrains", "Lists the machines that are drained, with the units that are left on each.", {
    answers: { 200: answer("The drains.", types.DrainsEntity) },
  }),
  "POST /drains": operation(
    "drainMachines",
    "Cordons machines and moves their units to others: each starts on its new machine, and is healthy there, before it " +
      "stops on the old one, unless only one copy of it may run. A machine that is drained already gets the new options. " +
      "With `dryRun` it changes nothing, so that clients that may only read may ask.",
    {
      body: types.DrainRequest,
      answers: {
        200: answer("What would happen, with `dryRun`.", types.DrainsEntity),
        201: answer("The drains have begun.", types.DrainsEntity),
      },
      errors: [409, 413, 415, 507],
    },
  ),
  "DELETE /drains/{machineID}": operation(
    "undrainMachine",
    "Cancels a drain, or ends one that is done. Units that run on both machines stay on the old one.",
    {
      parameters: [
        machineInPath,
        query("keepCordon", "Whether the machine still takes no new units.", {
          type: "string",
          enum: ["true", "false"],
        }),
      ],
      answers: { 204: { description: "The machine takes units." } },
      errors: [404, 409, 507],
    },
  ),
  "GET /rebalance": operation(
    "getRebalance",
    "Proposes moves that even out the spread of units and the load of machines. Changes nothing.",
    {
      parameters: [
        query("maxMoves", "How many moves at most: by default 10.", { type: "integer", minimum: 0 }),
      ],
      answers: { 200: answer("The proposal, and the moves that were requested.", types.RebalanceEntity) },
    },
  ),
  "POST /rebalance": operation("requestMoves", "Requests moves, which are made like those of a drain.", {
    body: types.RebalanceRequest,
    answers: { 204: { description: "The moves are requested." } },
    errors: [409, 413, 415, 507],
  }),
  "DELETE /rebalance": operation("cancelMoves", "Cancels the requested moves that are not made yet.", {
    answers: { 204: { description: "The moves are canceled." } },
    errors: [404, 409, 507],
  }),
};
