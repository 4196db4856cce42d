import { attempt, dream } from '../../client';
import type { components } from '../../dream/index';
import { moment } from '../../format';

type Transaction = components['schemas']['Transaction'];

const list = dream.pages('/v1/points/transactions', { limit: 20 });

const rowOf = (entry: Transaction) => ({
  id: entry.id,
  description: entry.description,
  // Spent points are told as a positive amount.
  amount: `${entry.type === 'SPEND' ? '−' : '+'}${Math.abs(entry.amount)}`,
  at: moment(entry.createdAt),
});

Page({
  data: {
    balance: 0,
    earned: 0,
    spent: 0,
    offers: [100, 500, 1000],
    buying: 0,
    rows: [] as Array<ReturnType<typeof rowOf>>,
    loaded: false,
  },

  onShow() {
    void this.read();
  },

  async onPullDownRefresh() {
    await this.read();
    await wx.stopPullDownRefresh();
  },

  onReachBottom() {
    void attempt(async () => {
      await list.more();
      this.setData({ rows: list.items.map(rowOf) });
    });
  },

  async read() {
    await attempt(async () => {
      const [{ balance, totalEarned, totalSpent }] = await Promise.all([
        dream.get('/v1/points/balance'),
        list.refresh(),
      ]);
      this.setData({ balance, earned: totalEarned, spent: totalSpent, rows: list.items.map(rowOf) });
    });
    this.setData({ loaded: true });
  },

  async onRecharge(event: WechatMiniprogram.BaseEvent<WechatMiniprogram.IAnyObject, { points: number }>) {
    const { points } = event.currentTarget.dataset;
    this.setData({ buying: points });
    const paid = await attempt(() => dream.pay({ points }));
    this.setData({ buying: 0 });
    if (!paid) return;
    await wx.showToast({ title: '充值成功', icon: 'success' });
    await this.read();
  },
});
