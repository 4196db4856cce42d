import type { components } from './api';
import { ACCESS } from './codes';
import { DreamError, errorOf, type Language, type Order } from './errors';
import { type Watch, type WatchOptions, watchJob } from './jobs';
import { Keys, type Kept } from './keys';
import { Pages } from './pages';
import { type Goods, Payments } from './pay';
import { pause, type Platform, Stop } from './platform';
import { Queue } from './queue';
import { isCurable, type LoginExtras, Session, type User } from './session';
import { Storage } from './storage';
import { type Answer, type Method, request, upload } from './transport';
import type { Control, Input, ListPath, Output, PathOf, Rest } from './types';

export interface Options {
  /** Where Dream is reached, such as `https://api.example.com`. */
  baseUrl: string;
  /** `wx`, unless a test plays it. */
  platform?: Platform;
  /** The language of messages; Chinese unless given. */
  language?: Language;
  /** Milliseconds for an answer to come; 15 s unless given. */
  timeout?: number;
  /** Milliseconds that a call may wait before it tries again, as `Retry-After` may ask; 15 s unless given. */
  longestWait?: number;
  /** Milliseconds to wait for an order to become final after a payment; 60 s unless given. */
  paymentPatience?: number;
  /** Where login codes come from in place of `wx.login`, for a sandbox. */
  loginCode?: () => Promise<string>;
  /** What pays in place of `wx.requestPayment`, for a sandbox. It fails with what `wx` would say. */
  requestPayment?: (params: components['schemas']['WxPayParams'], orderId: string) => Promise<void>;
}

export type Generate = components['schemas']['Generate'];
export type AcceptedJob = components['schemas']['AcceptedJob'];

/** A picture that was stored. */
export interface Uploaded {
  url: string;
  filename: string;
  originalname: string;
  /** Bytes. */
  size: number;
  mimetype: string;
}

const TIMEOUT_MS = 15_000;
const UPLOAD_TIMEOUT_MS = 60_000;
const LONGEST_WAIT_MS = 15_000;
const PAYMENT_PATIENCE_MS = 60_000;
/** How often a request is sent in all. */
const TRIES = 4;
const FIRST_PAUSE_MS = 400;
/** What was asked for longer ago is not asked for again by itself. */
const RESUME_WITHIN_MS = 15 * 60_000;

/** Statuses of troubles that pass. */
const PASSING: readonly number[] = [502, 503, 504];

/** One call, however often it is sent. */
interface Call {
  method: Method;
  path: string;
  url: string;
  body?: unknown;
  key?: string | undefined;
  filePath?: string;
  timeout: number;
  patient?: boolean;
  stop?: Stop | undefined;
}

/**
 * A client of Dream over `wx.request`.
 *
 * Calls log in by themselves, and once more if the login turns out to have ended. At most ten requests are under way at
 * once. What was refused for now, and what can be repeated without harm, is sent again. Everything fails with a
 * {@link DreamError}.
 */
export class Dream {
  private readonly platform: Platform;
  private readonly language: Language;
  private readonly timeout: number;
  private readonly longestWait: number;
  private readonly baseUrl: string;
  private readonly queue = new Queue();
  private readonly storage: Storage;
  private readonly session: Session;
  private readonly keys: Keys;
  private readonly payments: Payments;

  constructor(options: Options) {
    this.baseUrl = options.baseUrl.replace(/\/+$/, '');
    this.platform = options.platform ?? wx;
    this.language = options.language ?? 'zh-CN';
    this.timeout = options.timeout ?? TIMEOUT_MS;
    this.longestWait = options.longestWait ?? LONGEST_WAIT_MS;
    this.storage = new Storage(this.platform, this.language);
    this.keys = new Keys(this.platform, this.storage);
    this.session = new Session(
      this.platform,
      this.storage,
      this.language,
      (body) => this.exchange(this.callOf('POST', '/v1/auth/wechat-login', { body }), undefined),
      options.loginCode,
    );
    this.payments = new Payments({
      platform: this.platform,
      storage: this.storage,
      language: this.language,
      patience: options.paymentPatience ?? PAYMENT_PATIENCE_MS,
      requestPayment: options.requestPayment,
      place: (goods) =>
        'planId' in goods
          ? this.once('/v1/vip/purchase', { planId: goods.planId, paymentMethod: 'wechat' })
          : this.once('/v1/points/recharge', { amount: goods.points, paymentMethod: 'wechat' }),
      payAgain: (orderId) => this.post('/v1/orders/{orderId}/pay', { path: { orderId } }),
      order: (orderId) => this.get('/v1/orders/{orderId}', { path: { orderId } }),
    });
  }

  get<P extends PathOf<'get'>>(path: P, ...[input]: Rest<Input<'get', P>>): Promise<Output<'get', P>> {
    return this.call('GET', path, input);
  }

  post<P extends PathOf<'post'>>(path: P, ...[input]: Rest<Input<'post', P>>): Promise<Output<'post', P>> {
    return this.call('POST', path, input);
  }

  put<P extends PathOf<'put'>>(path: P, ...[input]: Rest<Input<'put', P>>): Promise<Output<'put', P>> {
    return this.call('PUT', path, input);
  }

  delete<P extends PathOf<'delete'>>(path: P, ...[input]: Rest<Input<'delete', P>>): Promise<Output<'delete', P>> {
    return this.call('DELETE', path, input);
  }

  /** A list, page by page. */
  pages<P extends ListPath>(path: P, query: Input<'get', P> extends { query?: infer Q } ? Q : never): Pages<P> {
    return new Pages((cursor) =>
      this.call<Output<'get', P>>('GET', path, { query: { ...(query as object), ...(cursor ? { cursor } : {}) } }),
    );
  }

  /** The user as of the last login; nobody before the first one. */
  get user(): User | undefined {
    return this.session.user;
  }

  /** Logs in now, with a phone number or a profile if they are given. Other calls log in by themselves. */
  signIn(extras: LoginExtras = {}): Promise<User> {
    return this.session.signIn(extras);
  }

  /** Ends the login here and on the server. The next call that needs one logs in again. */
  async logout(): Promise<void> {
    const token = this.session.known;
    if (token === undefined) return;
    const answer = await this.exchange(this.callOf('POST', '/v1/auth/logout', {}), token);
    // A login that the server does not know has ended.
    if (answer.status !== 200 && answer.status !== 401) throw errorOf(answer, this.language);
    this.session.forget();
  }

  /**
   * Asks for pictures. The same request again, before the outcome of the first is known, is the first one, even if the
   * program was closed in between.
   */
  generate(what: Generate): Promise<AcceptedJob> {
    return this.once('/v1/jobs', what);
  }

  /** Follows a job until it ends. */
  watchJob(jobId: string, options: WatchOptions = {}): Watch {
    return watchJob(
      (wait, stop) =>
        this.call('GET', '/v1/jobs/{jobId}', { path: { jobId }, query: { wait }, stop }, wait > 0 ? wait : undefined),
      options,
    );
  }

  /**
   * Buys a plan or points: makes the order, has it paid, and asks the server until the order is final. Gives the order
   * only if it is paid. An order that was begun and not paid is paid in place of making another one.
   */
  pay(goods: Goods): Promise<Order> {
    return this.payments.pay(goods);
  }

  /** Pays an order that waits. */
  payOrder(orderId: string): Promise<Order> {
    return this.payments.payOrder(orderId);
  }

  /** Stores a picture of the phone's on the server: JPEG, PNG, GIF or WebP of at most 10 MiB. */
  upload(filePath: string, control: Control = {}): Promise<Uploaded> {
    const call = this.callOf('POST', '/v1/upload/image', { timeout: UPLOAD_TIMEOUT_MS, ...control });
    return this.perform({ ...call, filePath });
  }

  /**
   * To be called when the program starts: asks again for what was asked for shortly before the program was closed and
   * never answered, and tells what became of payments that were under way.
   */
  async resume(): Promise<{ jobs: AcceptedJob[]; paid: Order[] }> {
    const jobs: AcceptedJob[] = [];
    for (const kept of this.keys.unknown()) {
      const isMeant = kept.path === '/v1/jobs' && kept.body !== undefined && Date.now() - kept.at < RESUME_WITHIN_MS;
      if (isMeant) jobs.push(await this.sendKept<AcceptedJob>(kept, kept.body));
    }
    return { jobs, paid: await this.payments.resume() };
  }

  /** A request that takes effect once, however often it is made until its outcome is known. */
  private async once<P extends '/v1/jobs' | '/v1/vip/purchase' | '/v1/points/recharge'>(
    path: P,
    body: Input<'post', P>['body'],
  ): Promise<Output<'post', P>> {
    const kept = await this.keys.keep(path, body);
    try {
      return await this.sendKept(kept, body);
    } catch (error) {
      if (!(error instanceof DreamError) || !error.is('IDEMPOTENCY_CONFLICT')) throw error;
      // Another body had the same print. Its key is gone, so this one gets its own.
      return this.sendKept(await this.keys.keep(path, body), body);
    }
  }

  private async sendKept<T>(kept: Kept, body: unknown): Promise<T> {
    const call = this.callOf('POST', kept.path, { body });
    try {
      const answer = await this.perform<T>({ ...call, key: kept.key });
      this.keys.settle(kept);
      return answer;
    } catch (error) {
      if (error instanceof DreamError && isDefinite(error)) this.keys.settle(kept);
      throw error;
    }
  }

  private call<T>(method: Method, path: string, input: object | undefined, held?: number): Promise<T> {
    const call = this.callOf(method, path, input ?? {});
    if (held === undefined) return this.perform(call);
    return this.perform({ ...call, patient: true, timeout: call.timeout + held * 1000 });
  }

  private callOf(
    method: Method,
    path: string,
    input: Control & { path?: object; query?: object; body?: unknown },
  ): Call {
    const words = Object.entries(input.path ?? {});
    const place = words.reduce((url, [name, word]) => url.replace(`{${name}}`, encodeURIComponent(String(word))), path);
    const query = Object.entries(input.query ?? {})
      .filter(([, value]) => value !== undefined && value !== null)
      .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`)
      .join('&');
    const url = this.baseUrl + place + (query && `?${query}`);
    return { method, path, url, body: input.body, timeout: input.timeout ?? this.timeout, stop: input.stop };
  }

  /** Sends the call until there is an answer to give, or no use in sending it again. */
  private async perform<T>(call: Call): Promise<T> {
    const access = ACCESS[`${call.method.toLowerCase()} ${call.path}`] ?? 'user';
    let renewed = false;
    for (let tried = 1; ; tried += 1) {
      const token = access === 'user' ? await this.session.token() : access === 'optional' ? this.session.known : undefined;
      const error = await this.attempt<T>(call, token);
      if (!(error instanceof DreamError)) return error.answer;
      if (token !== undefined && isCurable(error) && !renewed) {
        renewed = true;
        tried -= 1;
        await this.session.renew(token);
        continue;
      }
      const wait = error.retryAfter === undefined ? backoff(tried) : error.retryAfter * 1000;
      if (tried >= TRIES || wait > this.longestWait || !isWorthARepeat(call, error)) throw error;
      await pause(wait, call.stop);
    }
  }

  private async attempt<T>(call: Call, token: string | undefined): Promise<{ answer: T } | DreamError> {
    try {
      const answer = await this.exchange(call, token);
      const { status, body } = answer;
      if (status >= 200 && status < 300 && typeof body === 'object' && body !== null) return { answer: body as T };
      return status >= 200 && status < 300
        ? new DreamError('BAD_ANSWER', { status }, this.language)
        : errorOf(answer, this.language);
    } catch (error) {
      if (error instanceof DreamError) return error;
      throw error;
    }
  }

  private exchange(call: Call, token: string | undefined): Promise<Answer> {
    const header: Record<string, string> = { 'Accept-Language': this.language };
    if (token !== undefined) header['Authorization'] = `Bearer ${token}`;
    if (call.key !== undefined) header['Idempotency-Key'] = call.key;
    const sent = { url: call.url, header, timeout: call.timeout, language: this.language, stop: call.stop };
    const { filePath } = call;
    return this.queue.run(
      () =>
        filePath === undefined
          ? request(this.platform, { ...sent, method: call.method, body: call.body })
          : upload(this.platform, { ...sent, filePath }),
      call.patient,
    );
  }
}

/** Milliseconds before the next try: twice as long each time, and not the same for everybody. */
function backoff(tried: number): number {
  return FIRST_PAUSE_MS * 2 ** (tried - 1) * (0.75 + Math.random() / 2);
}

/** Whether sending it again may help, and cannot do it twice. */
function isWorthARepeat(call: Call, error: DreamError): boolean {
  // It was refused before anything was done.
  if (error.is('RATE_LIMITED')) return true;
  const isHarmless = call.method === 'GET' || call.method === 'PUT' || call.key !== undefined;
  return isHarmless && (error.is('NETWORK_FAILED') || error.is('TIMEOUT') || PASSING.includes(error.status));
}

/** Whether it is certain that nothing was done, and nothing will be. */
function isDefinite(error: DreamError): boolean {
  return error.status >= 400 && error.status < 500 && error.status !== 401 && error.status !== 429;
}
