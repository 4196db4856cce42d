import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DreamError } from '../miniprogram/dream';
import { type Server, start } from './server';

const LOGIN = '/v1/auth/wechat-login';
let server: Server;
before(async () => {
  server = await start();
});
after(() => server.stop());

/** Ends the login that the phone has stored, as somebody else. */
async function endLoginOf(store: Map<string, string>): Promise<void> {
  const { token } = JSON.parse(store.get('dream.session') ?? '{}') as { token: string };
  const headers = { Authorization: `Bearer ${token}` };
  const { status } = await fetch(`${server.url}/v1/auth/logout`, { method: 'POST', headers });
  assert.equal(status, 200);
}

test('the first call logs in without anybody doing anything', async () => {
  const { dream, wx } = server.client('ada');
  const before = dream.user;
  assert.equal(before, undefined);
  const { user } = await dream.get('/v1/users/me');
  assert.equal(user.id, dream.user?.id);
  assert.equal(wx.logins, 1);
});

test('what needs no login causes none', async () => {
  const { dream, wx } = server.client('nobody');
  const { plans } = await dream.get('/v1/vip/plans');
  const { items } = await dream.get('/v1/gallery/images');
  assert.ok(plans.length > 0 && items.length > 0);
  assert.equal(wx.logins, 0);
  assert.ok(wx.seen.every((seen) => seen.header['authorization'] === undefined));
});

test('many first calls at once share one login', async () => {
  const { dream, wx } = server.client('bea');
  await Promise.all(Array.from({ length: 15 }, () => dream.get('/v1/points/balance')));
  assert.equal(wx.logins, 1);
  assert.equal(wx.sent(LOGIN).length, 1);
});

test('a login outlives the program', async () => {
  const first = server.client('cyd');
  const { user } = await first.dream.get('/v1/users/me');
  const second = server.client('cyd', {}, first.wx.store);
  assert.equal(second.dream.user?.id, user.id);
  await second.dream.get('/v1/users/me');
  assert.equal(second.wx.logins, 0);
});

test('a login that ended is made anew once, by all calls that notice it together, and they all succeed', async () => {
  const { dream, wx } = server.client('dan');
  const { user } = await dream.get('/v1/users/me');
  await endLoginOf(wx.store);
  const answers = await Promise.all(Array.from({ length: 15 }, () => dream.get('/v1/users/me')));
  assert.ok(answers.every((answer) => answer.user.id === user.id));
  assert.equal(wx.logins, 2);
  assert.equal(wx.sent(LOGIN).length, 2);
  assert.ok(wx.seen.some((seen) => seen.status === 401));
});

test('a call that is refused with the new login too is not sent a third time', async () => {
  const { dream, wx } = server.client('eve');
  await dream.get('/v1/users/me');
  wx.meddle = (seen) => {
    if (seen.path === '/v1/users/me') seen.header['authorization'] = 'Bearer nonsense';
  };
  const before = wx.sent('/v1/users/me').length;
  await assert.rejects(dream.get('/v1/users/me'), (error) => error instanceof DreamError && error.is('UNAUTHENTICATED'));
  assert.equal(wx.sent('/v1/users/me').length - before, 2);
  assert.equal(wx.logins, 2);
});

test('a login whose answer is lost is made again with another code', async () => {
  const { dream, wx } = server.client('fay');
  // Codes of the real kind: each works once.
  wx.loginCode = async () => {
    const { code } = (await server.control('wechat', 'login-codes', { openid: 'o-fay-0000000000000000000000' })) as {
      code: string;
    };
    return code;
  };
  let lost = 0;
  wx.fate = ({ path }) => (path === LOGIN && (lost += 1) === 1 ? 'lost' : undefined);
  const { user } = await dream.get('/v1/users/me');
  assert.ok(user.id > 0);
  assert.equal(wx.logins, 2);
  const [first, second] = wx.sent(LOGIN).map((seen) => (seen.data as { code: string }).code);
  assert.notEqual(first, second);
});

test('a code that was used before is replaced by a fresh one', async () => {
  const { dream, wx } = server.client('gus');
  const codes = ['sandbox-used', 'sandbox-gus'];
  wx.loginCode = async () => codes.shift() ?? '';
  assert.ok((await dream.get('/v1/users/me')).user.id > 0);
  assert.equal(wx.logins, 2);
});

test('a login that is refused fails every call that waits for it, and the next call tries again', async () => {
  const { dream, wx } = server.client('blocked');
  const outcomes = await Promise.allSettled([dream.get('/v1/users/me'), dream.get('/v1/points/balance')]);
  for (const outcome of outcomes) {
    assert.equal(outcome.status, 'rejected');
    assert.ok(outcome.reason instanceof DreamError && outcome.reason.is('FORBIDDEN'));
  }
  assert.equal(wx.logins, 1);
  wx.loginCode = async () => 'sandbox-hal';
  assert.ok((await dream.get('/v1/users/me')).user.id > 0);
});

test('where WeChat gives no code, it is said so', async () => {
  const { dream, wx } = server.client('ivy');
  wx.loginCode = async () => {
    throw new Error('system error');
  };
  await assert.rejects(dream.get('/v1/users/me'), (error) => {
    assert.ok(error instanceof DreamError && error.is('LOGIN_FAILED'));
    assert.match(error.detail ?? '', /login:fail system error/);
    return true;
  });
});

test('signing in brings a phone number and a profile along', async () => {
  const { dream } = server.client('joy');
  const user = await dream.signIn({ phoneCode: 'sandbox-phone-13800000001', userInfo: { nickName: '小乔' } });
  assert.equal(user.phone, '13800000001');
  assert.equal(user.nickName, '小乔');
});

test('after a logout the old token is worth nothing, here and on the server', async () => {
  const { dream, wx } = server.client('kim');
  await dream.get('/v1/users/me');
  const { token } = JSON.parse(wx.store.get('dream.session') ?? '{}') as { token: string };
  await dream.logout();
  assert.equal(dream.user, undefined);
  assert.equal(wx.store.has('dream.session'), false);
  const headers = { Authorization: `Bearer ${token}` };
  assert.equal((await fetch(`${server.url}/v1/users/me`, { headers })).status, 401);
  await dream.get('/v1/users/me');
  assert.equal(wx.logins, 2);
});
