import type { components } from './api';
import { CODES } from './codes';

/** A code that the server answers with. */
export type ServerCode = keyof typeof CODES;

/** What goes wrong on this side, with its sentences. */
const OWN = {
  NETWORK_FAILED: { zh: '网络连接失败,请检查网络后重试', en: 'The network failed; please try again' },
  TIMEOUT: { zh: '请求超时,请稍后再试', en: 'There was no answer in time; please try again' },
  BAD_ANSWER: { zh: '服务器返回了无法识别的内容', en: 'The answer cannot be understood' },
  LOGIN_FAILED: { zh: '微信登录失败,请稍后再试', en: 'WeChat gave no login; please try again later' },
  STORAGE_FAILED: { zh: '本地存储不可用,请清理空间后重试', en: 'Nothing can be stored on this phone' },
  PAYMENT_CANCELLED: { zh: '支付已取消', en: 'The payment was cancelled' },
  PAYMENT_FAILED: { zh: '支付未完成,请重试', en: 'The payment did not go through' },
  PAYMENT_UNCONFIRMED: { zh: '支付结果确认中,请稍后查看订单', en: 'The payment is still being confirmed' },
  STOPPED: { zh: '操作已取消', en: 'Stopped' },
} as const;

/** What goes wrong without the server saying so. */
export type OwnCode = keyof typeof OWN;
export type Code = ServerCode | OwnCode;

export type Language = 'zh-CN' | 'en';
export type Order = components['schemas']['Order'];
export type Problem = components['schemas']['Problem'];
export type FieldProblem = components['schemas']['FieldProblem'];

type Figures = components['schemas']['ProblemData'];
/** The figures that come with a code. */
export interface DataOf {
  QUOTA_EXCEEDED: Extract<Figures, { dailyLimit: number }>;
  PAYLOAD_TOO_LARGE: Extract<Figures, { limitBytes: number }>;
}

interface Details {
  /** The HTTP status; 0 if there was no answer. */
  status?: number;
  /** The server's sentence, in the language that was asked for. */
  message?: string;
  fields?: FieldProblem[];
  data?: unknown;
  requestId?: string;
  /** Seconds after which it is worth trying again. */
  retryAfter?: number;
  /** The order that a payment was about. */
  order?: Order;
  /** What `wx` said. */
  detail?: string;
}

/** Everything that the client fails with. `message` can be shown to people. */
export class DreamError extends Error {
  readonly code: Code;
  readonly status: number;
  readonly fields: readonly FieldProblem[];
  readonly data: unknown;
  readonly requestId: string | undefined;
  readonly retryAfter: number | undefined;
  readonly order: Order | undefined;
  readonly detail: string | undefined;

  constructor(code: Code, details: Details = {}, language: Language = 'zh-CN') {
    super(details.message || textOf(code, language));
    // Where classes are compiled down to functions, `super` gives a plain Error.
    Object.setPrototypeOf(this, DreamError.prototype);
    this.name = 'DreamError';
    this.code = code;
    this.status = details.status ?? 0;
    this.fields = details.fields ?? [];
    this.data = details.data ?? undefined;
    this.requestId = details.requestId;
    this.retryAfter = details.retryAfter;
    this.order = details.order;
    this.detail = details.detail;
  }

  /** Whether it has this code; then `data` has the figures that belong to it. */
  is<C extends Code>(code: C): this is DreamError & { code: C; data: C extends keyof DataOf ? DataOf[C] : unknown } {
    return this.code === code;
  }

  /** What is wrong with this field, if anything is. */
  field(name: string): FieldProblem | undefined {
    return this.fields.find((field) => field.field === name);
  }
}

/** The sentence of the code. One that this build does not know gets a general one. */
export function textOf(code: Code, language: Language = 'zh-CN'): string {
  const known: Record<string, { zh: string; en: string } | undefined> = { ...CODES, ...OWN };
  const { zh, en } = known[code] ?? CODES.INTERNAL;
  return language === 'en' ? en : zh;
}

/** What to show to people, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof DreamError ? error.message : textOf('INTERNAL');
}

/** Codes of answers that bring none of ours, because something in between gave them. */
const BY_STATUS: Readonly<Record<number, ServerCode>> = {
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  404: 'ROUTE_NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  413: 'PAYLOAD_TOO_LARGE',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  429: 'RATE_LIMITED',
  500: 'INTERNAL',
  502: 'UPSTREAM_ERROR',
  503: 'UNAVAILABLE',
  504: 'UPSTREAM_TIMEOUT',
};

/** The error that an answer tells. */
export function errorOf(
  answer: { status: number; body: unknown; header(name: string): string | undefined },
  language: Language,
): DreamError {
  const { status, body } = answer;
  const details: Details = { status };
  const retryAfter = seconds(answer.header('retry-after'));
  if (retryAfter !== undefined) details.retryAfter = retryAfter;
  const requestId = answer.header('x-request-id');
  if (requestId !== undefined) details.requestId = requestId;
  if (!isProblem(body)) return new DreamError(BY_STATUS[status] ?? 'BAD_ANSWER', details, language);
  details.message = body.message;
  details.requestId = body.requestId;
  if (body.errors) details.fields = body.errors;
  if (body.data) details.data = body.data;
  return new DreamError(body.code, details, language);
}

function isProblem(body: unknown): body is Problem {
  const { code, message } = (typeof body === 'object' && body !== null ? body : {}) as Partial<Problem>;
  return typeof code === 'string' && typeof message === 'string';
}

/** `Retry-After`, which is a number of seconds or a date. */
function seconds(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text.trim())) return Number(text);
  const until = Date.parse(text);
  return Number.isNaN(until) ? undefined : Math.max(0, Math.ceil((until - Date.now()) / 1000));
}
