// A stand-in of `wx` that behaves as the real one does, over real HTTP: callbacks rather than promises, success whatever
// the status, at most ten requests at once, answers parsed as JSON where they are JSON and left as text where not,
// storage that copies and has limits, payment results as texts.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as http from 'node:http';
import { basename } from 'node:path';
import type { Abortable, Platform } from '../miniprogram/dream/platform';

/** What a phone keeps when the program is closed. */
export type Store = Map<string, string>;

/** What happens to a request on its way. */
export type Fate =
  /** It never arrives. */
  | 'unsent'
  /** It arrives, and its answer is lost. */
  | 'lost'
  /** It arrives, and nothing is ever heard of it, not even a failure. */
  | 'silent';

/** A request as it was sent. */
export interface Seen {
  method: string;
  path: string;
  header: Record<string, string>;
  data: unknown;
  /** What was stored at that moment. */
  stored: Store;
  /** Nothing until there is an answer. */
  status?: number;
}

type Payment = (params: WechatMiniprogram.RequestPaymentOption) => Promise<string>;

/** `wx` refuses more under one name. */
const LONGEST_ENTRY = 1024 * 1024;
const LARGEST_STORE = 10 * LONGEST_ENTRY;
const AT_ONCE = 10;
const USUAL_TIMEOUT_MS = 60_000;

export class FakeWx implements Platform {
  /** Requests and uploads, oldest first. */
  readonly seen: Seen[] = [];
  /** The most that were under way at once. */
  peak = 0;
  /** How often `wx.login` was called. */
  logins = 0;
  /** How often the payment dialog was opened. */
  dialogs = 0;
  /** Says what happens to a request. */
  fate: (seen: Seen) => Fate | undefined = () => undefined;
  /** Changes a request before it is sent. */
  meddle: (seen: Seen) => void = () => {};
  /** Whether the storage refuses to store. */
  full = false;
  /** Gives login codes, or fails. */
  loginCode: () => Promise<string>;
  /** What the user does with the dialog; the text is what `wx` says. */
  payment: Payment = async () => 'requestPayment:fail cancel';
  private underWay = 0;
  private closed = false;

  constructor(
    name: string,
    readonly store: Store = new Map(),
  ) {
    this.loginCode = async () => `sandbox-${name}`;
  }

  /** The program is closed: nothing calls back any more. What is on its way arrives all the same. */
  close(): void {
    this.closed = true;
  }

  /** The requests to this path. */
  sent(path: string): Seen[] {
    return this.seen.filter((seen) => seen.path === path);
  }

  // ---- Network --------------------------------------------------------------------------------------------------------

  request(option: WechatMiniprogram.RequestOption): Abortable {
    const method = option.method ?? 'GET';
    const url = new URL(option.url);
    const header: Record<string, string> = { 'content-type': 'application/json', ...lowerCase(option.header) };
    let body: Buffer | undefined;
    if (option.data !== undefined && method === 'GET') {
      for (const [name, value] of Object.entries(option.data)) url.searchParams.set(name, String(value));
    } else if (option.data !== undefined) {
      body = Buffer.from(typeof option.data === 'string' ? option.data : JSON.stringify(option.data));
    }
    return this.send('request', { method, url, header, body, data: option.data }, option, ({ status, headers, text }) => {
      const isJson = (option.dataType ?? 'json') === 'json';
      option.success?.({
        statusCode: status,
        data: isJson ? parsed(text) : text,
        header: headers,
        cookies: [],
        errMsg: 'request:ok',
      } as never);
    });
  }

  uploadFile(option: WechatMiniprogram.UploadFileOption): Abortable {
    const boundary = `----wx${randomBytes(12).toString('hex')}`;
    const part =
      `--${boundary}\r\nContent-Disposition: form-data; name="${option.name}"; ` +
      `filename="${basename(option.filePath)}"\r\nContent-Type: application/octet-stream\r\n\r\n`;
    let file: Buffer;
    try {
      file = readFileSync(option.filePath);
    } catch {
      setImmediate(() => option.fail?.({ errMsg: 'uploadFile:fail file not found' } as never));
      return { abort: () => {} };
    }
    const body = Buffer.concat([Buffer.from(part), file, Buffer.from(`\r\n--${boundary}--\r\n`)]);
    const header = { ...lowerCase(option.header), 'content-type': `multipart/form-data; boundary=${boundary}` };
    const asked = { method: 'POST', url: new URL(option.url), header, body, data: option.filePath };
    return this.send('uploadFile', asked, option, ({ status, text }) =>
      // Text it stays, and there are no headers.
      option.success?.({ statusCode: status, data: text, errMsg: 'uploadFile:ok' } as never),
    );
  }

  private send(
    name: string,
    asked: { method: string; url: URL; header: Record<string, string>; body: Buffer | undefined; data: unknown },
    option: { timeout?: number; fail?: (error: never) => void },
    answered: (answer: { status: number; headers: http.IncomingHttpHeaders; text: string }) => void,
  ): Abortable {
    if (this.closed) throw new Error('the program is closed');
    if (this.underWay >= AT_ONCE) throw new Error('more than ten requests at once');
    this.underWay += 1;
    this.peak = Math.max(this.peak, this.underWay);
    const { method, url, header, body } = asked;
    const seen: Seen = { method, path: url.pathname, header, data: asked.data, stored: new Map(this.store) };
    this.seen.push(seen);
    this.meddle(seen);
    const fate = this.fate(seen);
    let over = false;
    const end = (then: () => void): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      this.underWay -= 1;
      if (!this.closed) then();
    };
    const fail = (why: string): void => end(() => option.fail?.({ errMsg: `${name}:fail ${why}`, errno: 0 } as never));
    const timer = setTimeout(() => {
      if (fate === 'silent') return;
      fail('timeout');
      wire?.destroy();
    }, option.timeout ?? USUAL_TIMEOUT_MS);
    const wire = fate === 'unsent' ? undefined : http.request(url, { method, headers: header, agent });
    if (!wire) {
      setImmediate(() => fail('errcode:-118 cronet_error_code:-118'));
      return { abort: () => fail('abort') };
    }
    wire.on('response', (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => {
        const status = response.statusCode ?? 0;
        seen.status = status;
        if (fate === 'silent') return;
        if (fate === 'lost') fail('errcode:-101 cronet_error_code:-101 error_msg:net::ERR_CONNECTION_RESET');
        else end(() => answered({ status, headers: response.headers, text: Buffer.concat(parts).toString() }));
      });
    });
    wire.on('error', (error) => fate !== 'silent' && fail(error.message));
    wire.end(body);
    return {
      abort: () => {
        fail('abort');
        wire.destroy();
      },
    };
  }

  // ---- Storage --------------------------------------------------------------------------------------------------------

  getStorageSync(key: string): unknown {
    const text = this.store.get(key);
    return text === undefined ? '' : JSON.parse(text);
  }

  setStorageSync(key: string, data: unknown): void {
    if (this.closed) return;
    const text = JSON.stringify(data);
    const others = [...this.store].filter(([name]) => name !== key);
    const size = others.reduce((sum, [, entry]) => sum + entry.length, text.length);
    if (text.length > LONGEST_ENTRY) throw new Error('setStorageSync:fail:entry size limit reached');
    if (this.full || size > LARGEST_STORE) throw new Error('setStorageSync:fail:exceed storage max size 10Mb');
    this.store.set(key, text);
  }

  removeStorageSync(key: string): void {
    if (!this.closed) this.store.delete(key);
  }

  getStorageInfoSync(): { keys: string[] } {
    return { keys: [...this.store.keys()] };
  }

  // ---- The rest -------------------------------------------------------------------------------------------------------

  login(option: WechatMiniprogram.LoginOption): void {
    this.logins += 1;
    this.loginCode().then(
      (code) => this.closed || option.success?.({ code, errMsg: 'login:ok' }),
      (error: Error) => this.closed || option.fail?.({ errMsg: `login:fail ${error.message}`, errno: 0 } as never),
    );
  }

  requestPayment(option: WechatMiniprogram.RequestPaymentOption): void {
    this.dialogs += 1;
    void this.payment(option).then((errMsg) => {
      if (this.closed) return;
      if (errMsg === 'requestPayment:ok') option.success?.({ errMsg });
      else option.fail?.({ errMsg });
    });
  }

  getRandomValues(option: WechatMiniprogram.GetRandomValuesOption): void {
    const bytes = randomBytes(option.length);
    setImmediate(() =>
      option.success?.({ randomValues: new Uint8Array(bytes).buffer as ArrayBuffer, errMsg: 'getRandomValues:ok' }),
    );
  }
}

const agent = new http.Agent({ keepAlive: true, timeout: 20_000 });

function lowerCase(header: WechatMiniprogram.IAnyObject | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(header ?? {}).map(([name, value]) => [name.toLowerCase(), String(value)]));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Every `wx` is one that the client can use. */
export const real = (platform: WechatMiniprogram.Wx): Platform => platform;
