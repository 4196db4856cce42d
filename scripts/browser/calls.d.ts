// The types of the console's calls, derived from docs/openapi.json.
//
// `api.d.ts` is generated from the document when the check runs and is not kept. A call names its method and its route;
// parameters, body and answer follow from these two. A route, a parameter or a field that the document does not have
// is a type error, and so is a string outside of a listed set.
import type { components, paths } from "./api.d.ts";

export type Method = "get" | "post" | "put" | "delete";

/** The routes that have the method. */
export type Route<M extends Method> = {
  [P in keyof paths]: paths[P][M] extends { responses: unknown } ? P : never;
}[keyof paths];

type Parameters<O> = O extends { parameters: infer P } ? Pick<P, Extract<keyof P, "query" | "path">> : never;
type Body<O> = O extends { requestBody?: infer R }
  ? [NonNullable<R>] extends [never] ? { body?: undefined }
  : NonNullable<R> extends { content: { "application/json": infer B } } ? { body: B } : { body?: undefined }
  : { body?: undefined };

/** What a call is given: `path`, `query` and `body`, as far as the route has them. */
export type Given<M extends Method, P extends Route<M>> = Parameters<paths[P][M]> & Body<paths[P][M]>;

type Json<R> = R extends { content: { "application/json": infer B } } ? B : never;
type Responses<O> = O extends { responses: infer R } ? R : never;

/** What a call answers when it succeeds. */
export type Answer<M extends Method, P extends Route<M>> = {
  [S in keyof Responses<paths[P][M]>]: S extends 200 | 201 | 202 ? Json<Responses<paths[P][M]>[S]> : never;
}[keyof Responses<paths[P][M]>];

/** A named schema of the document. */
export type Schema<N extends keyof components["schemas"]> = components["schemas"][N];

/** What an element may be given: attributes, and `on…` listeners. */
export type Attributes = Record<string, unknown>;
export type Child = Node | string | null | undefined | Child[];

/** A field of a dialog. Amounts are entered in yuan and handed on in fen. */
export interface Field {
  name: string;
  label: string;
  kind?: "text" | "integer" | "yuan" | "choice";
  value?: string | number;
  choices?: readonly string[];
  required?: boolean;
  /** Smallest and largest value, in the unit that is handed on. */
  min?: number;
  max?: number;
  hint?: string;
}

export interface Question {
  title: string;
  /** Whom and what it is about, and what follows. */
  about?: Child[];
  fields?: Field[];
  confirm: string;
  dangerous?: boolean;
  /** Called when a field changes, with what the fields hold. */
  onchange?: (given: Record<string, string>) => void;
  act: (given: Record<string, string>) => Promise<unknown>;
}
