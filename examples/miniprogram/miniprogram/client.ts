import { config } from './config';
import { Dream, messageOf, type Options } from './dream/index';

/** What stands in for WeChat's login and payment where `dream` plays them. */
function sandbox(): Partial<Options> {
  if (config.sandboxUser === '') return {};
  return { loginCode: async () => `sandbox-${config.sandboxUser}`, requestPayment: payInSandbox };
}

/** Asks as the dialog of WeChat would, and pays as a phone would. */
const payInSandbox: NonNullable<Options['requestPayment']> = async (params, orderId) => {
  const { confirm } = await wx.showModal({ title: '沙箱支付', content: `订单 ${orderId}`, confirmText: '支付' });
  if (!confirm) throw { errMsg: 'requestPayment:fail cancel' };
  const { sandboxTill: till, baseUrl } = config;
  const url = till === '' ? `${baseUrl}/sandbox/pay/${orderId}` : `${till}/_control/pay`;
  await new Promise<void>((resolve, reject) => {
    wx.request({
      url,
      method: 'POST',
      data: till === '' ? '' : { params },
      success: ({ statusCode, data }) =>
        statusCode === 200 ? resolve() : reject({ errMsg: `requestPayment:fail ${JSON.stringify(data)}` }),
      fail: reject,
    });
  });
};

/** The one client of the program. */
export const dream = new Dream({ baseUrl: config.baseUrl, ...sandbox() });

/** Does it, and shows what went wrong if it fails. Whether it worked. */
export async function attempt(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    void wx.showToast({ title: messageOf(error), icon: 'none', duration: 2500 });
    return false;
  }
}
