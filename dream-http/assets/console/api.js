// The calls of the console. A call names its method and its route of the OpenAPI document, so that scripts/browser can
// check parameters, bodies and the use of answers against that document. The admin key lives in this tab only.
import { language } from "./words.js";

/** @import { Method, Route, Given, Answer, Schema } from "dream-api" */

const KEY = "dream-admin-key";

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (/** @type {string} */ value) => sessionStorage.setItem(KEY, value),
  clear: () => sessionStorage.removeItem(KEY),
};

/** A refusal: `faults` has the message for each field, by the field's name in the API. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {Partial<Schema<"Problem">>} problem
   */
  constructor(status, problem) {
    super(problem.message || `HTTP ${status}`);
    this.status = status;
    this.code = problem.code;
    this.data = problem.data;
    this.faults = problem.errors ?? [];
  }
}

/**
 * @template {Method} M
 * @template {Route<M>} P
 * @param {M} method
 * @param {P} route
 * @param {Given<M, P>} given
 * @returns {Promise<Answer<M, P>>}
 */
export async function call(method, route, given) {
  const { path = {}, query = {}, body } = /** @type {{ path?: object, query?: object, body?: unknown }} */ (given);
  const parameters = new Map(Object.entries(path).map(([name, value]) => [name, encodeURIComponent(String(value))]));
  const target = String(route).replace(/\{(\w+)\}/g, (_, name) => parameters.get(name) ?? "");
  const answer = await fetch(address(target, query), {
    method: method.toUpperCase(),
    headers: {
      "X-Admin-Key": key.get(),
      "Accept-Language": language(),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const json = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, json);
  return json;
}

/**
 * An address with those parameters that have a value.
 * @param {string} base
 * @param {object} parameters
 */
export function address(base, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value != null);
  return given.length ? `${base}?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : base;
}
