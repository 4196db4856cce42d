import { DreamError, type Language } from './errors';
import type { Abortable, Platform, Stop } from './platform';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** An answer, of whatever status. */
export interface Answer {
  status: number;
  body: unknown;
  /** The header of this name, however it is spelt. */
  header(name: string): string | undefined;
}

export interface Sent {
  url: string;
  header: Record<string, string>;
  /** Milliseconds. */
  timeout: number;
  language: Language;
  stop?: Stop | undefined;
}

/** `wx` keeps its own time; this much later it is taken for lost. */
const GRACE_MS = 2000;

/** Sends a request and gives its answer. It fails only where there is none. */
export function request(
  platform: Platform,
  sent: Sent & { method: Method; body?: unknown },
): Promise<Answer> {
  return once(sent, (settle) =>
    platform.request({
      url: sent.url,
      method: sent.method,
      header: sent.header,
      timeout: sent.timeout,
      ...(sent.body === undefined ? {} : { data: sent.body as WechatMiniprogram.IAnyObject }),
      success: ({ statusCode, data, header }) => settle.answer(statusCode, data, header),
      fail: ({ errMsg }) => settle.failed(errMsg),
    }),
  );
}

/** Sends a file as the field `file` of a form. */
export function upload(platform: Platform, sent: Sent & { filePath: string }): Promise<Answer> {
  return once(sent, (settle) =>
    platform.uploadFile({
      url: sent.url,
      filePath: sent.filePath,
      name: 'file',
      header: sent.header,
      timeout: sent.timeout,
      // Unlike those of requests, answers of uploads are text, and their headers are not told.
      success: ({ statusCode, data }) => settle.answer(statusCode, parsed(data), {}),
      fail: ({ errMsg }) => settle.failed(errMsg),
    }),
  );
}

interface Settle {
  answer(status: number, body: unknown, header: WechatMiniprogram.IAnyObject | undefined): void;
  failed(errMsg: string): void;
}

function once(sent: Sent, begin: (settle: Settle) => Abortable): Promise<Answer> {
  return new Promise((resolve, reject) => {
    if (sent.stop?.stopped) {
      reject(new DreamError('STOPPED', {}, sent.language));
      return;
    }
    const end = (): void => {
      clearTimeout(timer);
      forget?.();
    };
    const fail = (code: 'STOPPED' | 'TIMEOUT' | 'NETWORK_FAILED', detail?: string): void => {
      end();
      reject(new DreamError(code, detail === undefined ? {} : { detail }, sent.language));
    };
    // Aborting makes `wx` say that the request failed: by then it has ended here.
    const timer = setTimeout(() => {
      fail('TIMEOUT');
      task.abort();
    }, sent.timeout + GRACE_MS);
    const forget = sent.stop?.onStop(() => {
      fail('STOPPED');
      task.abort();
    });
    const task = begin({
      answer: (status, body, header) => {
        end();
        resolve({ status, body, header: (name) => headerOf(header ?? {}, name) });
      },
      failed: (errMsg) => fail(/time ?out/i.test(errMsg) ? 'TIMEOUT' : 'NETWORK_FAILED', errMsg),
    });
  });
}

function headerOf(header: WechatMiniprogram.IAnyObject, name: string): string | undefined {
  const key = Object.keys(header).find((key) => key.toLowerCase() === name);
  return key === undefined ? undefined : String(header[key]);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
