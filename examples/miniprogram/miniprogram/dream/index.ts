export { Dream, type AcceptedJob, type Generate, type Options, type Uploaded } from './client';
export {
  type Code,
  DreamError,
  type FieldProblem,
  type Language,
  messageOf,
  type Order,
  type OwnCode,
  type ServerCode,
  textOf,
} from './errors';
export { isFinal, type Job, type Watch, type WatchOptions } from './jobs';
export { Pages } from './pages';
export type { Goods } from './pay';
export { type Platform, Stop } from './platform';
export type { LoginExtras, User } from './session';
export type { components, paths } from './api';
