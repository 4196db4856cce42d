import { attempt, dream } from './client';

App({
  onLaunch() {
    // What was under way when the program was closed.
    void attempt(async () => {
      const { paid } = await dream.resume();
      if (paid.length > 0) await wx.showToast({ title: '上次的支付已到账', icon: 'success' });
    });
  },
});
