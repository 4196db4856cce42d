import { attempt, dream } from '../../client';
import type { components } from '../../dream/index';
import { moment, yuan } from '../../format';

type VipInfo = components['schemas']['VipInfo'];
type Plan = components['schemas']['Plan'];

const LEVELS: Readonly<Record<string, string>> = { NORMAL: '普通用户', VIP: 'VIP 会员', SVIP: 'SVIP 会员' };

const shown = (plan: Plan) => ({ ...plan, price: yuan(plan.currentPrice), before: yuan(plan.originalPrice) });

Page({
  data: {
    level: '',
    until: '',
    quota: null as VipInfo['quota'] | null,
    plans: [] as Array<ReturnType<typeof shown>>,
    buying: '',
  },

  onShow() {
    void this.read();
  },

  async onPullDownRefresh() {
    await this.read();
    await wx.stopPullDownRefresh();
  },

  async read() {
    await attempt(async () => {
      const [info, { plans }] = await Promise.all([dream.get('/v1/vip/info'), dream.get('/v1/vip/plans')]);
      this.setData({
        level: LEVELS[info.vipLevel] ?? info.vipLevel,
        until: moment(info.vipExpireAt),
        quota: info.quota,
        plans: plans.map(shown),
      });
    });
  },

  async onBuy(event: WechatMiniprogram.BaseEvent<WechatMiniprogram.IAnyObject, { id: string }>) {
    const planId = event.currentTarget.dataset.id;
    this.setData({ buying: planId });
    const paid = await attempt(() => dream.pay({ planId }));
    this.setData({ buying: '' });
    if (!paid) return;
    await wx.showToast({ title: '开通成功', icon: 'success' });
    await this.read();
  },
});
