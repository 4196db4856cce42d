import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DreamError, type Job } from '../miniprogram/dream';
import { type Server, start, until } from './server';

let server: Server;
before(async () => {
  server = await start();
});
after(() => server.stop());

test('a job is followed to its pictures by a few calls that wait', async () => {
  const { dream, wx } = server.client('ada');
  const { jobId } = await dream.generate({ prompt: 'a lighthouse at dusk', mode: 'draft' });
  const states: string[] = [];
  const job = await dream.watchJob(jobId, { onChange: ({ status }) => states.push(status) }).done;
  assert.equal(job.status, 'SUCCEEDED');
  assert.equal(job.resultUrls.length, 1);
  assert.equal(states.at(-1), 'SUCCEEDED');
  assert.equal(new Set(states).size, states.length, `each state is told once: ${states}`);
  assert.ok(wx.sent(`/v1/jobs/${jobId}`).length <= 6, 'it asked again and again');
});

test('a job that fails ends with the reason', async () => {
  const { dream } = server.client('bea');
  const { jobId } = await dream.generate({ prompt: 'no such thing [fail]', mode: 'draft' });
  const job = await dream.watchJob(jobId).done;
  assert.equal(job.status, 'FAILED');
  assert.ok(job.error?.code);
});

test('lost answers and an ended login do not end the watch', async () => {
  const { dream, wx } = server.client('cyd');
  const { jobId } = await dream.generate({ prompt: 'a lighthouse [slow]', mode: 'draft' });
  let asked = 0;
  const trouble = ['lost', 'unsent', undefined, 'lost'] as const;
  wx.fate = ({ path }) => (path === `/v1/jobs/${jobId}` ? trouble[asked++] : undefined);
  let told = false;
  const watch = dream.watchJob(jobId, {
    onChange: () => {
      if (told) return;
      told = true;
      // The login ends in the middle of it.
      const { token } = JSON.parse(wx.store.get('dream.session') ?? '{}') as { token: string };
      void fetch(`${server.url}/v1/auth/logout`, { method: 'POST', headers: { Authorization: `Bearer ${token}` } });
    },
  });
  assert.equal((await watch.done).status, 'SUCCEEDED');
  assert.equal(wx.logins, 2);
});

test('a watch that is stopped asks no more and tells no more', async () => {
  const { dream, wx } = server.client('dan');
  const { jobId } = await dream.generate({ prompt: 'a lighthouse [stuck]', mode: 'draft' });
  const seen: Job[] = [];
  const watch = dream.watchJob(jobId, { onChange: (job) => seen.push(job) });
  await until(() => wx.sent(`/v1/jobs/${jobId}`).length >= 2, 'the second look');
  watch.stop();
  await assert.rejects(watch.done, (error) => error instanceof DreamError && error.is('STOPPED'));
  const told = seen.length;
  const asked = wx.seen.length;
  await dream.get('/v1/points/balance');
  assert.equal(seen.length, told);
  assert.equal(wx.seen.length, asked + 1);
});

test('a job that is not there ends the watch', async () => {
  const { dream } = server.client('eve');
  await assert.rejects(
    dream.watchJob('nothing').done,
    (error) => error instanceof DreamError && error.is('JOB_NOT_FOUND'),
  );
});

test('a job that somebody takes back is seen to end', async () => {
  const { dream } = server.client('fay');
  const { jobId } = await dream.generate({ prompt: 'a lighthouse [queued]', mode: 'draft' });
  const watch = dream.watchJob(jobId);
  await until(async () => {
    try {
      return (await dream.delete('/v1/jobs/{jobId}', { path: { jobId } })).status === 'CANCELED';
    } catch (error) {
      return !(error instanceof DreamError);
    }
  }, 'the cancellation');
  assert.equal((await watch.done).status, 'CANCELED');
});
