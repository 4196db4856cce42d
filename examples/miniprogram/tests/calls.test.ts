import assert from 'node:assert/strict';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { Dream, DreamError, messageOf, textOf } from '../miniprogram/dream';
import { CODES } from '../miniprogram/dream/codes';
import { Stop } from '../miniprogram/dream/platform';
import { type Server, start } from './server';
import { FakeWx } from './wx';

/** The body of a call that is never sent twice. */
const SOME = { body: { refreshToken: 'nothing' } };

let server: Server;
before(async () => {
  server = await start();
});
after(() => server.stop());

/** Something on the way that answers in the server's place. */
async function gateway(answer: http.RequestListener): Promise<{ url: string; close(): void }> {
  const listener = http.createServer(answer).listen(0, '127.0.0.1');
  await new Promise((resolve) => listener.once('listening', resolve));
  const close = (): void => {
    listener.close();
    listener.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`, close };
}

async function failure(call: Promise<unknown>): Promise<DreamError> {
  const error = await call.then(
    () => assert.fail('it should have failed'),
    (error: unknown) => error,
  );
  assert.ok(error instanceof DreamError, String(error));
  return error;
}

// ---- The queue ----------------------------------------------------------------------------------------------------------

test('forty calls at once are all answered, ten at a time at most', async () => {
  const { dream, wx } = server.client('ada');
  const answers = await Promise.all(Array.from({ length: 40 }, () => dream.get('/v1/points/balance')));
  assert.equal(answers.length, 40);
  assert.equal(wx.peak, 10);
});

test('calls that wait for news never hold up what somebody taps', async () => {
  const { dream } = server.client('bea', { timeout: 5000 });
  await server.control('images', 'faults', { operation: 'submit', when: 'always', fault: { kind: 'delay', ms: 20000 } });
  const { jobId } = await dream.generate({ prompt: 'waits', mode: 'draft' });
  const watches = Array.from({ length: 12 }, () => dream.watchJob(jobId));
  await new Promise((resolve) => setTimeout(resolve, 500));
  const began = Date.now();
  await dream.get('/v1/points/balance');
  assert.ok(Date.now() - began < 2000, 'it waited behind the long polls');
  watches.forEach((watch) => watch.stop());
  await server.control('images', 'faults', undefined, 'DELETE');
});

// ---- Errors -------------------------------------------------------------------------------------------------------------

test('an error has the code, the status, the faulty fields and the Chinese sentences of the server', async () => {
  const { dream } = server.client('cyd');
  const error = await failure(dream.generate({ prompt: '', sampleCount: 11 }));
  assert.equal(error.code, 'VALIDATION_FAILED');
  assert.equal(error.status, 400);
  assert.deepEqual(error.fields.map((field) => field.field).sort(), ['prompt', 'sampleCount']);
  assert.equal(error.field('sampleCount')?.code, 'RANGE');
  assert.match(error.message, /sampleCount 必须在 1 到 10 之间/);
  assert.ok(error.requestId);
  assert.equal(messageOf(error), error.message);
});

test('whoever asks for English gets English', async () => {
  const { dream } = server.client('dan', { language: 'en' });
  const error = await failure(dream.get('/v1/orders/{orderId}', { path: { orderId: 'nothing' } }));
  assert.equal(error.message, CODES.ORDER_NOT_FOUND.en);
});

test('the figures of an exceeded quota come with the error', async () => {
  const { dream } = server.client('eve');
  const error = await failure(dream.generate({ prompt: 'too many', sampleCount: 10 }));
  assert.ok(error.is('QUOTA_EXCEEDED'));
  assert.equal(error.data.dailyLimit, 5);
  assert.equal(error.data.pointsBalance, 0);
});

test('every code of the server says in Chinese here what it says there', async () => {
  const { dream } = server.client('fay');
  const error = await failure(dream.get('/v1/jobs/{jobId}', { path: { jobId: 'nothing' } }));
  assert.equal(error.message, textOf('JOB_NOT_FOUND'));
  for (const [code, { zh, en }] of Object.entries(CODES)) {
    assert.match(zh, /\p{Script=Han}/u, code);
    assert.equal(textOf(code as keyof typeof CODES), zh);
    assert.equal(textOf(code as keyof typeof CODES, 'en'), en);
  }
});

test('a code that this build does not know is kept, with the sentence that came with it', async () => {
  const way = await gateway((_, response) => {
    response.writeHead(409, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ statusCode: 409, code: 'NEW_RULE', message: '新的规则', requestId: 'r-1' }));
  });
  const error = await failure(new Dream({ baseUrl: way.url, platform: new FakeWx('x') }).get('/v1/vip/plans'));
  assert.equal(error.code, 'NEW_RULE');
  assert.equal(error.message, '新的规则');
  assert.equal(error.requestId, 'r-1');
  way.close();
});

test('what something in between answers becomes an error of the same status', async () => {
  const way = await gateway((_, response) => {
    response.writeHead(502, { 'content-type': 'text/html' });
    response.end('<html>bad gateway</html>');
  });
  const error = await failure(new Dream({ baseUrl: way.url, platform: new FakeWx('x') }).post('/v1/auth/refresh-token', SOME));
  assert.equal(error.code, 'UPSTREAM_ERROR');
  assert.equal(error.message, textOf('UPSTREAM_ERROR'));
  way.close();
});

test('a page in place of an answer is no answer', async () => {
  const way = await gateway((_, response) => response.end('<html>please accept the terms of this hotel</html>'));
  const error = await failure(new Dream({ baseUrl: way.url, platform: new FakeWx('x') }).get('/v1/vip/plans'));
  assert.equal(error.code, 'BAD_ANSWER');
  way.close();
});

// ---- Time and repeats ---------------------------------------------------------------------------------------------------

test('a read whose answer is lost is sent again', async () => {
  const { dream, wx } = server.client('gus');
  await dream.get('/v1/users/me');
  let lost = 0;
  wx.fate = () => ((lost += 1) <= 2 ? 'lost' : undefined);
  assert.equal((await dream.get('/v1/points/balance')).balance, 0);
  assert.equal(wx.sent('/v1/points/balance').length, 3);
});

test('without a network it is said so, in the end', async () => {
  const { dream, wx } = server.client('hal');
  wx.fate = () => 'unsent';
  const error = await failure(dream.get('/v1/vip/plans'));
  assert.equal(error.code, 'NETWORK_FAILED');
  assert.equal(error.message, '网络连接失败,请检查网络后重试');
  assert.equal(wx.seen.length, 4);
});

test('what must not be done twice is not sent twice', async () => {
  const { dream, wx } = server.client('ivy');
  const { templates } = await dream.get('/v1/templates/prompts');
  const templateId = templates[0]?.templateId ?? '';
  wx.fate = () => 'lost';
  const error = await failure(dream.post('/v1/templates/prompts/{templateId}/usage', { path: { templateId } }));
  assert.equal(error.code, 'NETWORK_FAILED');
  assert.equal(wx.seen.filter((seen) => seen.method === 'POST').length, 1);
});

test('a call ends when its time is over', async () => {
  const way = await gateway(() => {});
  const dream = new Dream({ baseUrl: way.url, platform: new FakeWx('x') });
  const began = Date.now();
  const error = await failure(dream.post('/v1/auth/refresh-token', { ...SOME, timeout: 300 }));
  assert.equal(error.code, 'TIMEOUT');
  assert.ok(Date.now() - began < 2000);
  way.close();
});

test('a request that never calls back is given up', async () => {
  const { dream, wx } = server.client('joy');
  wx.fate = () => 'silent';
  const error = await failure(dream.post('/v1/auth/refresh-token', { ...SOME, timeout: 300 }));
  assert.equal(error.code, 'TIMEOUT');
  wx.fate = () => undefined;
  await dream.get('/v1/vip/plans');
});

test('a call can be stopped', async () => {
  const way = await gateway(() => {});
  const stop = new Stop();
  const call = new Dream({ baseUrl: way.url, platform: new FakeWx('x') }).get('/v1/vip/plans', { stop });
  setTimeout(() => stop.stop(), 100);
  assert.equal((await failure(call)).code, 'STOPPED');
  way.close();
});

test('who is told to come back later does so when told, and not before', async () => {
  const strict = await start({ THROTTLE_LIMIT: '100', THROTTLE_LIMIT_PUBLIC: '3', THROTTLE_TTL: '6' });
  const { dream, wx } = strict.client('kim');
  const began = Date.now();
  await Promise.all(Array.from({ length: 5 }, () => dream.get('/v1/vip/plans')));
  const took = Date.now() - began;
  const refused = wx.seen.filter((seen) => seen.status === 429).length;
  assert.ok(refused >= 2, 'nothing was refused');
  assert.ok(took >= 2000, `it came back after ${took} ms`);
  assert.equal(wx.seen.length, 5 + refused);
  await strict.stop();
});

test('who would have to wait too long is told how long instead', async () => {
  const strict = await start({ THROTTLE_LIMIT: '100', THROTTLE_LIMIT_PUBLIC: '1', THROTTLE_TTL: '120' });
  const { dream, wx } = strict.client('lea', { longestWait: 3000 });
  await dream.get('/v1/vip/plans');
  const error = await failure(dream.get('/v1/vip/plans'));
  assert.equal(error.code, 'RATE_LIMITED');
  assert.ok((error.retryAfter ?? 0) > 60);
  assert.equal(wx.seen.length, 2);
  await strict.stop();
});

// ---- Lists --------------------------------------------------------------------------------------------------------------

test('a list is read to its end, page by page, without repeats', async () => {
  const { dream } = server.client('moe');
  for (const number of [1, 2, 3, 4, 5]) await dream.generate({ prompt: `picture ${number}`, mode: 'draft' });
  const pages = dream.pages('/v1/proxy/jobs', { limit: 2 });
  while (pages.hasMore) await Promise.all([pages.more(), pages.more()]);
  assert.deepEqual(
    pages.items.map((job) => job.prompt),
    [5, 4, 3, 2, 1].map((number) => `picture ${number}`),
  );
  await pages.refresh();
  assert.equal(pages.items.length, 2);
  assert.ok(pages.hasMore);
});
