// The real server on a free port, with its sandbox.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Dream, type Options } from '../miniprogram/dream';
import { FakeWx, type Store } from './wx';

const STARTS_WITHIN_MS = 60_000;

export interface Server {
  url: string;
  wechat: string;
  pay: string;
  images: string;
  /** A client of somebody's, and the phone it runs on. */
  client(name: string, options?: Partial<Options>, store?: Store): { dream: Dream; wx: FakeWx };
  /** Turns a knob of a fake. */
  control(fake: 'wechat' | 'pay' | 'images', knob: string, body?: unknown, method?: string): Promise<unknown>;
  stop(): Promise<void>;
}

export async function start(environment: Record<string, string> = {}): Promise<Server> {
  const binary = process.env['DREAM_BINARY'];
  if (!binary) throw new Error('DREAM_BINARY must name the server');
  const folder = mkdtempSync(join(tmpdir(), 'dream-miniprogram-'));
  const child = spawn(binary, ['serve'], {
    cwd: folder,
    env: { PATH: process.env['PATH'], HOST: '127.0.0.1', PORT: '0', THROTTLE_LIMIT: '0', NO_COLOR: '1', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // Whatever ends the tests ends the server.
  const kill = (): boolean => child.kill('SIGKILL');
  process.once('exit', kill);
  const banner = await bannerOf(child);
  const find = (row: RegExp): string => {
    const [, url] = row.exec(banner) ?? [];
    if (!url) throw new Error(`the banner lacks ${row}:\n${banner}`);
    return url.replace('localhost', '127.0.0.1');
  };
  const server = {
    url: find(/address +(\S+)/),
    wechat: find(/WeChat is played at (\S+)/),
    pay: find(/WeChat Pay is played at (\S+)/),
    images: find(/image API is played at (\S+)/),
  };
  return {
    ...server,
    client(name, options = {}, store = new Map()) {
      const wx = new FakeWx(name, store);
      wx.payment = (params) => payAtTheTill(server.pay, params);
      return { dream: new Dream({ baseUrl: server.url, platform: wx, ...options }), wx };
    },
    async control(fake, knob, body, method = 'POST') {
      const answer = await fetch(`${server[fake]}/_control/${knob}`, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      if (!answer.ok) throw new Error(`${knob}: ${answer.status} ${await answer.text()}`);
      return answer.status === 204 ? undefined : answer.json();
    },
    async stop() {
      process.off('exit', kill);
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      const [code] = (await gone) as [number | null];
      rmSync(folder, { recursive: true, force: true });
      if (code !== 0) throw new Error(`the server ended with ${code}`);
    },
  };
}

/** What a phone does: it shows what is to be paid, and WeChat checks the signature. */
async function payAtTheTill(till: string, params: WechatMiniprogram.RequestPaymentOption): Promise<string> {
  const { timeStamp, nonceStr, package: parcel, signType, paySign } = params;
  const answer = await fetch(`${till}/_control/pay`, {
    method: 'POST',
    body: JSON.stringify({ params: { timeStamp, nonceStr, package: parcel, signType, paySign } }),
  });
  return answer.ok ? 'requestPayment:ok' : `requestPayment:fail ${await answer.text()}`;
}

function bannerOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let [out, log] = ['', ''];
    const timer = setTimeout(() => reject(new Error(`the server did not start:\n${out}${log}`)), STARTS_WITHIN_MS);
    child.stdout?.on('data', (text: Buffer) => {
      out += text;
      if (!out.includes('Next:')) return;
      clearTimeout(timer);
      resolve(out);
    });
    child.stderr?.on('data', (text: Buffer) => {
      log += text;
    });
    child.once('exit', () => reject(new Error(`the server ended at once:\n${out}${log}`)));
  });
}

/** Nobody is there any more to learn how it ends. */
export function abandon(work: Promise<unknown>): void {
  work.catch(() => {});
}

/** Waits until it holds. */
export async function until(holds: () => boolean | Promise<boolean>, what = 'it'): Promise<void> {
  for (let left = 200; !(await holds()); left -= 1) {
    if (left === 0) throw new Error(`${what} did not come true in time`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
