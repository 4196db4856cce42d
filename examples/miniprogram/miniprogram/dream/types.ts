import type { paths } from './api';

type Verb = 'get' | 'post' | 'put' | 'delete';

/** The paths that take this method. */
export type PathOf<V extends Verb> = {
  [P in keyof paths]: paths[P][V] extends { responses: unknown } ? P : never;
}[keyof paths];

type Operation<V extends Verb, P extends PathOf<V>> = NonNullable<paths[P][V]>;

type PathWords<O> = O extends { parameters: { path: infer W extends object } } ? { path: W } : unknown;
type QueryWords<O> = O extends { parameters: { query?: infer W } }
  ? [W] extends [undefined]
    ? unknown
    : { query?: NonNullable<W> }
  : unknown;
type JsonBody<O> = O extends { requestBody: { content: { 'application/json': infer B } } }
  ? { body: B }
  : O extends { requestBody?: { content: { 'application/json': infer B } } }
    ? { body?: B }
    : unknown;

/** What a call takes: words of its path, of its query, and its body. */
export type Input<V extends Verb, P extends PathOf<V>> = PathWords<Operation<V, P>> &
  QueryWords<Operation<V, P>> &
  JsonBody<Operation<V, P>>;

type Json<R> = R extends { content: { 'application/json': infer T } } ? T : never;

/** What a call gives. */
export type Output<V extends Verb, P extends PathOf<V>> =
  Operation<V, P> extends { responses: infer R } ? Json<R[keyof R & (200 | 201 | 202)]> : never;

/** Left out where a call takes nothing that must be said. */
export type Rest<I> = object extends I ? [input?: I & Control] : [input: I & Control];

/** How a single call differs from the others. */
export interface Control {
  /** Milliseconds for an answer to come. */
  timeout?: number;
  /** Ends the call early. */
  stop?: import('./platform').Stop;
}

/** Lists that go on. */
export type ListPath = {
  [P in PathOf<'get'>]: Output<'get', P> extends { items: unknown[]; nextCursor: string | null } ? P : never;
}[PathOf<'get'>];

export type ItemOf<P extends ListPath> =
  Output<'get', P> extends { items: Array<infer T> } ? T : never;
