// Every word of the page, in Chinese and English.
const WORDS = {
  sandbox: ["沙箱控制台", "Sandbox"],
  hint: ["本页扮演手机与微信:付款、退款、制造故障,并查看每个请求。", "This page plays the phone and WeChat: pay, refund, make trouble, and see every request."],
  users: ["登录过的用户", "Who logged in"], logins: ["登录次数", "Logins"], last: ["最近登录", "Last"],
  orders: ["订单", "Orders"], order: ["订单号", "Order"], what: ["内容", "What"], yuan: ["金额", "Yuan"], state: ["状态", "State"],
  pay: ["支付", "Pay"], fail: ["失败", "Fail"], refund: ["退款", "Refund"], again: ["重复支付", "Pay twice"],
  handRefund: ["此处退款如同在商户平台手工操作,后端不会收到通知;要收回权益,请用管理后台退款。",
    "A refund here is one by hand in the merchant's console, of which the backend is not told; the administration's own takes back what was bought."],
  refunds: ["退款", "Refunds"], succeed: ["成功", "Succeed"], close: ["关闭", "Close"], stuck: ["异常", "Stuck"],
  trouble: ["故障", "Trouble"], lose: ["丢失下一个通知", "Lose the next notify"], double: ["下一个通知发两次", "Double the next notify"],
  slow: ["图像 API 变慢", "Slow the image API"], broken: ["图像 API 故障", "Break the image API"], clear: ["全部恢复", "Make it well"],
  well: ["一切正常", "Nothing goes wrong"], next: ["仅下", "the next"], always: ["一直", "always"],
  notifies: ["通知后端的结果", "What the backend was told"], notice: ["通知", "Notify"], at: ["时间", "At"], answer: ["应答", "Answer"], lost: ["无应答", "none"],
  requests: ["请求", "Requests"], WeChatPay: ["微信支付", "WeChat Pay"], WeChat: ["微信", "WeChat"], images: ["图像 API", "Image API"],
  verified: ["签名正确", "signature verified"], refused: ["签名不被接受", "signature refused"],
  signed: ["商户签名的五行", "What the merchant signs, line by line"], signature: ["签名", "Signature"], serial: ["证书序列号", "Serial"],
  mchid: ["商户号", "Merchant"], method: ["方法", "method"], target: ["路径", "path and query"], timestamp: ["时间戳", "timestamp"], nonce: ["随机串", "nonce"], body: ["报文主体", "body"],
  empty: ["(空)", "(empty)"], none: ["没有", "Nothing yet"], done: ["已完成", "Done"],
  NOTPAY: ["待支付", "waits"], SUCCESS: ["已支付", "paid"], REFUND: ["有退款", "refunded"], CLOSED: ["已关闭", "closed"],
  PROCESSING: ["处理中", "under way"], ABNORMAL: ["异常", "stuck"],
};
const LANGUAGE = "dream-language";

export const language = () => localStorage.getItem(LANGUAGE) ?? (navigator.language.startsWith("zh") ? "zh-CN" : "en");
export const setLanguage = (name) => localStorage.setItem(LANGUAGE, name);

/** The word in the reader's language. */
export const speak = (word) => WORDS[word]?.[language() === "en" ? 1 : 0] ?? word;
