import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Dream, DreamError } from '../miniprogram/dream';
import { abandon, type Server, start, until } from './server';
import type { Store } from './wx';

const PURCHASE = '/v1/vip/purchase';
const MONTH = { planId: 'vip_month' };
let server: Server;
before(async () => {
  server = await start();
});
after(() => server.stop());

async function failure(call: Promise<unknown>): Promise<DreamError> {
  const error = await call.then(
    () => assert.fail('it should have failed'),
    (error: unknown) => error,
  );
  assert.ok(error instanceof DreamError, String(error));
  return error;
}
const ordersOf = async (dream: Dream) => (await dream.get('/v1/orders')).items;
const begun = (store: Store): string[] => [...store.keys()].filter((key) => key.startsWith('dream.paying.'));

test('a plan that is paid gives the level, and the paid order', async () => {
  const { dream, wx } = server.client('ada');
  const order = await dream.pay(MONTH);
  assert.equal(order.status, 'PAID');
  assert.equal(order.planId, 'vip_month');
  assert.equal((await dream.get('/v1/vip/info')).vipLevel, 'VIP');
  assert.equal(wx.dialogs, 1);
  assert.deepEqual(begun(wx.store), []);
});

test('points that are paid arrive', async () => {
  const { dream } = server.client('bea');
  const order = await dream.pay({ points: 100 });
  assert.equal(order.points, 100);
  assert.equal((await dream.get('/v1/points/balance')).balance, 100);
});

test('a payment that the user cancels leaves the order waiting, and the next attempt pays that one', async () => {
  const { dream, wx } = server.client('cyd');
  const pays = wx.payment;
  wx.payment = async () => 'requestPayment:fail cancel';
  const error = await failure(dream.pay(MONTH));
  assert.equal(error.code, 'PAYMENT_CANCELLED');
  assert.equal(error.message, '支付已取消');
  assert.equal(error.order?.status, 'PENDING');
  wx.payment = pays;
  const order = await dream.pay(MONTH);
  assert.equal(order.orderId, error.order.orderId);
  assert.equal((await ordersOf(dream)).length, 1);
});

test('a payment that the user cancels and then makes from the list of orders is made', async () => {
  const { dream, wx } = server.client('dan');
  const pays = wx.payment;
  wx.payment = async () => 'requestPayment:fail cancel';
  const { order } = await failure(dream.pay(MONTH));
  wx.payment = pays;
  assert.equal((await dream.payOrder(order?.orderId ?? '')).status, 'PAID');
  // The purchase that was begun is over too: it is told, and not made again.
  assert.equal((await dream.pay(MONTH)).orderId, order?.orderId);
  assert.equal((await ordersOf(dream)).length, 1);
});

test('a payment that fails says why', async () => {
  const { dream, wx } = server.client('eve');
  wx.payment = async () => 'requestPayment:fail no permission';
  const error = await failure(dream.pay(MONTH));
  assert.equal(error.code, 'PAYMENT_FAILED');
  assert.match(error.detail ?? '', /no permission/);
});

test('whatever the phone says, the server decides: paid is paid', async () => {
  for (const [name, said] of [
    ['fay', 'requestPayment:fail cancel'],
    ['gus', 'requestPayment:fail timeout'],
  ] as const) {
    const { dream, wx } = server.client(name);
    const pays = wx.payment;
    wx.payment = async (params) => {
      assert.equal(await pays(params), 'requestPayment:ok');
      return said;
    };
    assert.equal((await dream.pay(MONTH)).status, 'PAID');
  }
});

test('whatever the phone says, the server decides: unpaid is not paid', async () => {
  const { dream, wx } = server.client('hal', { paymentPatience: 1500 });
  wx.payment = async () => 'requestPayment:ok';
  const error = await failure(dream.pay(MONTH));
  assert.equal(error.code, 'PAYMENT_UNCONFIRMED');
  assert.equal(error.order?.status, 'PENDING');
  assert.ok(wx.sent(`/v1/orders/${error.order.orderId}`).length > 2);
});

test('a payment whose notice is lost is found by asking', async () => {
  const { dream } = server.client('ivy');
  await server.control('pay', 'faults', { operation: 'payment_notify', when: 'always', fault: { kind: 'drop' } });
  assert.equal((await dream.pay(MONTH)).status, 'PAID');
  await server.control('pay', 'faults', undefined, 'DELETE');
});

test('lost answers on the way do not make a second order', async () => {
  const { dream, wx } = server.client('joy');
  await dream.get('/v1/users/me');
  let lost = 0;
  wx.fate = ({ path }) => (/purchase|orders/.test(path) && (lost += 1) % 2 === 1 ? 'lost' : undefined);
  assert.equal((await dream.pay(MONTH)).status, 'PAID');
  wx.fate = () => undefined;
  assert.equal((await ordersOf(dream)).length, 1);
  assert.equal(new Set(wx.sent(PURCHASE).map((seen) => seen.header['idempotency-key'])).size, 1);
});

test('without a network after the payment, nobody claims to know', async () => {
  const { dream, wx } = server.client('kim', { paymentPatience: 500 });
  const pays = wx.payment;
  wx.payment = async (params) => {
    const said = await pays(params);
    wx.fate = () => 'unsent';
    return said;
  };
  const error = await failure(dream.pay(MONTH));
  assert.equal(error.code, 'PAYMENT_UNCONFIRMED');
  wx.fate = () => undefined;
  const { paid } = await dream.resume();
  assert.equal(paid[0]?.status, 'PAID');
});

test('two taps at once are one order and one dialog', async () => {
  const { dream, wx } = server.client('lea');
  const [one, other] = await Promise.all([dream.pay(MONTH), dream.pay(MONTH)]);
  assert.equal(one.orderId, other.orderId);
  assert.equal(wx.dialogs, 1);
  assert.equal((await ordersOf(dream)).length, 1);
});

test('a program that is closed while it pays tells the outcome at the next start, and does not sell it twice', async () => {
  const first = server.client('moe');
  const pays = first.wx.payment;
  first.wx.payment = async (params) => {
    await pays(params);
    first.wx.close();
    return 'requestPayment:ok';
  };
  abandon(first.dream.pay(MONTH));
  await until(() => begun(first.wx.store).length === 1 && first.wx.dialogs === 1, 'the dialog');
  const second = server.client('moe', {}, first.wx.store);
  await until(async () => (await ordersOf(second.dream))[0]?.status === 'PAID', 'the payment');
  const { paid } = await second.dream.resume();
  assert.deepEqual(paid.map((order) => order.planId), ['vip_month']);
  assert.deepEqual((await second.dream.resume()).paid, []);
  assert.equal((await ordersOf(second.dream)).length, 1);
});

test('a program that is closed before the order is known makes no second one', async () => {
  const first = server.client('ned');
  await first.dream.get('/v1/users/me');
  first.wx.fate = ({ path }) => (path === PURCHASE ? 'silent' : undefined);
  abandon(first.dream.pay(MONTH));
  await until(() => first.wx.sent(PURCHASE)[0]?.status === 201, 'the order');
  first.wx.close();
  const second = server.client('ned', {}, first.wx.store);
  const order = await second.dream.pay(MONTH);
  const orders = await ordersOf(second.dream);
  assert.deepEqual(orders.map(({ orderId, status }) => [orderId, status]), [[order.orderId, 'PAID']]);
});

test('an order whose time is over is not paid: a new one is made', async () => {
  const { dream, wx } = server.client('pat');
  const pays = wx.payment;
  wx.payment = async () => 'requestPayment:fail cancel';
  const { order } = await failure(dream.pay(MONTH));
  const cancelled = await dream.post('/v1/orders/{orderId}/cancel', { path: { orderId: order?.orderId ?? '' } });
  assert.equal(cancelled.status, 'CANCELLED');
  wx.payment = pays;
  const paid = await dream.pay(MONTH);
  assert.notEqual(paid.orderId, order?.orderId);
});

test('what cannot be bought says so before anybody pays', async () => {
  const { dream, wx } = server.client('roy');
  const error = await failure(dream.pay({ planId: 'nothing' }));
  assert.equal(error.code, 'PLAN_NOT_FOUND');
  assert.equal(wx.dialogs, 0);
  assert.deepEqual([...wx.store.keys()].filter((key) => key !== 'dream.session'), []);
});
