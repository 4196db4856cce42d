import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Dream, DreamError } from '../miniprogram/dream';
import { picture } from './picture';
import { abandon, type Server, start, until } from './server';
import type { FakeWx, Store } from './wx';

const JOBS = '/v1/jobs';
let server: Server;
before(async () => {
  server = await start();
});
after(() => server.stop());

const kept = (store: Store): string[] => [...store.keys()].filter((key) => key.startsWith('dream.kept.'));
const keysOf = (wx: FakeWx): Set<string | undefined> =>
  new Set(wx.sent(JOBS).map((seen) => seen.header['idempotency-key']));
const jobsOf = async (dream: Dream): Promise<number> => (await dream.get('/v1/jobs')).total;

test('the key is stored before the request is sent, and gone once the outcome is known', async () => {
  const { dream, wx } = server.client('ada');
  await dream.generate({ prompt: 'a lighthouse', mode: 'draft' });
  const [sent] = wx.sent(JOBS);
  const key = sent?.header['idempotency-key'];
  assert.ok(key);
  assert.deepEqual(kept(sent.stored), [`dream.kept.${key}`]);
  assert.deepEqual(kept(wx.store), []);
});

test('a generation whose answer is lost is made once', async () => {
  const { dream, wx } = server.client('bea');
  let lost = 0;
  wx.fate = ({ path }) => (path === JOBS && (lost += 1) <= 2 ? 'lost' : undefined);
  const { jobId } = await dream.generate({ prompt: 'a lighthouse', mode: 'draft' });
  assert.equal(wx.sent(JOBS).length, 3);
  assert.equal(keysOf(wx).size, 1);
  wx.fate = () => undefined;
  const { jobs } = await dream.get('/v1/jobs');
  assert.deepEqual(jobs.map((job) => job.jobId), [jobId]);
});

test('a generation that was under way when the program was closed is found again at the next start', async () => {
  const first = server.client('cyd');
  await first.dream.get('/v1/users/me');
  first.wx.fate = ({ path }) => (path === JOBS ? 'silent' : undefined);
  abandon(first.dream.generate({ prompt: 'a lighthouse', mode: 'draft' }));
  await until(() => first.wx.sent(JOBS)[0]?.status === 202, 'the request');
  first.wx.close();

  const second = server.client('cyd', {}, first.wx.store);
  const { jobs } = await second.dream.resume();
  assert.equal(jobs.length, 1);
  assert.deepEqual(keysOf(second.wx), keysOf(first.wx));
  assert.equal(await jobsOf(second.dream), 1);
  assert.deepEqual(kept(second.wx.store), []);
  assert.deepEqual((await second.dream.resume()).jobs, []);
});

test('the same request after a crash is the first one, without anybody resuming it', async () => {
  const first = server.client('dan');
  await first.dream.get('/v1/users/me');
  first.wx.fate = ({ path }) => (path === JOBS ? 'silent' : undefined);
  abandon(first.dream.generate({ prompt: 'a lighthouse', mode: 'draft' }));
  await until(() => first.wx.sent(JOBS)[0]?.status === 202, 'the request');
  first.wx.close();

  const second = server.client('dan', {}, first.wx.store);
  await second.dream.generate({ prompt: 'a lighthouse', mode: 'draft' });
  assert.deepEqual(keysOf(second.wx), keysOf(first.wx));
  assert.equal(await jobsOf(second.dream), 1);
});

test('two taps at once are one generation; a tap after the answer is another one', async () => {
  const { dream, wx } = server.client('eve');
  const what = { prompt: 'a lighthouse', mode: 'draft' as const };
  const [one, other] = await Promise.all([dream.generate(what), dream.generate(what)]);
  assert.equal(one.jobId, other.jobId);
  assert.equal(keysOf(wx).size, 1);
  const third = await dream.generate(what);
  assert.notEqual(third.jobId, one.jobId);
  assert.equal(await jobsOf(dream), 2);
});

test('another request at the same time has another key', async () => {
  const { dream, wx } = server.client('fay');
  await Promise.all([
    dream.generate({ prompt: 'a lighthouse', mode: 'draft' }),
    dream.generate({ prompt: 'a windmill', mode: 'draft' }),
  ]);
  assert.equal(keysOf(wx).size, 2);
});

test('a refusal ends the request: nothing of it is kept', async () => {
  const { dream, wx } = server.client('gus');
  await assert.rejects(dream.generate({ prompt: '' }), DreamError);
  assert.deepEqual(kept(wx.store), []);
});

test('where the outcome stays unknown, the key stays', async () => {
  const { dream, wx } = server.client('hal');
  await dream.get('/v1/users/me');
  wx.fate = ({ path }) => (path === JOBS ? 'lost' : undefined);
  await assert.rejects(dream.generate({ prompt: 'a lighthouse', mode: 'draft' }), DreamError);
  assert.equal(kept(wx.store).length, 1);
  wx.fate = () => undefined;
  await dream.generate({ prompt: 'a lighthouse', mode: 'draft' });
  assert.equal(keysOf(wx).size, 1);
  assert.equal(await jobsOf(dream), 1);
});

test('a body too large to be stored is made once all the same', async () => {
  const first = server.client('ivy');
  await first.dream.get('/v1/users/me');
  const inputImage = `data:image/png;base64,${picture(900, 600).toString('base64')}`;
  assert.ok(inputImage.length > 1024 * 1024);
  const what = { prompt: 'like this', mode: 'draft' as const, inputImage };
  first.wx.fate = ({ path }) => (path === JOBS ? 'silent' : undefined);
  abandon(first.dream.generate(what));
  await until(() => first.wx.sent(JOBS)[0]?.status === 202, 'the request');
  first.wx.close();

  const second = server.client('ivy', {}, first.wx.store);
  assert.deepEqual((await second.dream.resume()).jobs, [], 'it cannot be sent again by itself');
  await second.dream.generate(what);
  assert.deepEqual(keysOf(second.wx), keysOf(first.wx));
  assert.equal(await jobsOf(second.dream), 1);
});

test('where the key cannot be stored, nothing is sent', async () => {
  const { dream, wx } = server.client('joy');
  await dream.get('/v1/users/me');
  wx.full = true;
  await assert.rejects(
    dream.generate({ prompt: 'a lighthouse', mode: 'draft' }),
    (error) => error instanceof DreamError && error.is('STORAGE_FAILED'),
  );
  assert.equal(wx.sent(JOBS).length, 0);
});

test('a key that another body has is replaced', async () => {
  const { dream, wx } = server.client('kim');
  await dream.get('/v1/users/me');
  wx.fate = ({ path }) => (path === JOBS ? 'lost' : undefined);
  await assert.rejects(dream.generate({ prompt: 'a lighthouse', mode: 'draft' }), DreamError);
  wx.fate = () => undefined;
  // As if both bodies had the same print.
  const [name] = kept(wx.store);
  assert.ok(name);
  const entry = JSON.parse(wx.store.get(name) ?? '{}') as { print: string };
  const other = { prompt: 'a lighthoufe', mode: 'draft' as const };
  const before = new Set(kept(wx.store));
  wx.fate = ({ path }) => (path === JOBS ? 'unsent' : undefined);
  await assert.rejects(dream.generate(other), DreamError);
  wx.fate = () => undefined;
  const [mine] = kept(wx.store).filter((key) => !before.has(key));
  assert.ok(mine);
  const print = (JSON.parse(wx.store.get(mine) ?? '{}') as { print: string }).print;
  wx.store.delete(mine);
  wx.store.set(name, JSON.stringify({ ...entry, print }));
  await dream.generate(other);
  assert.equal(await jobsOf(dream), 2);
});
